"""The models of an encoder one by one, for others who embed by them."""

from collections.abc import Mapping

from kotaemon_node.adapters.encoder.remembering import RememberingEncoder
from kotaemon_node.adapters.encoder.routed import RoutedEncoder
from kotaemon_node.ports.encoder import Encoder


def plain_models(encoder: Encoder) -> Mapping[str, Encoder]:
    """Return them by the names of their spaces, without prefixes where they compute here.

    A model elsewhere embeds a text as a question.
    """
    if isinstance(encoder, RememberingEncoder):
        return plain_models(encoder.behind)
    if isinstance(encoder, RoutedEncoder):
        parts = map(plain_models, encoder.parts)
        return {name: one for part in parts for name, one in part.items()}
    plain = getattr(encoder, "plain", None)
    return {name: plain() if plain else encoder for name in encoder.spaces}
