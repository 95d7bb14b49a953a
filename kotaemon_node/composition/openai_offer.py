"""Composes what OpenAI's routes offer (docs/how-to/openai.md)."""

from collections.abc import Callable
from typing import Any

from kotaemon_node.adapters.encoder.plain import plain_models
from kotaemon_node.api.embeddings import batched
from kotaemon_node.api.services import OpenAiOffer
from kotaemon_node.ports.encoder import Encoder, is_elsewhere
from kotaemon_node.ports.language_model import LanguageModel
from kotaemon_node.ports.runtime import Tasks
from kotaemon_node.retrieval.batching import QuestionEncoder


def openai_of(encoder: Encoder, model: LanguageModel | None, *, tasks: Tasks) -> OpenAiOffer:
    """Return what OpenAI's routes offer: the models of the pod's encoder, one by one."""

    def here(work: Callable[..., Any], *arguments: Any) -> Any:
        return work(*arguments)

    embed = {
        name: batched(QuestionEncoder(one, compute=here if is_elsewhere(one) else tasks.compute))
        for name, one in plain_models(encoder).items()
    }
    return OpenAiOffer(language_model=model.name if model else "", embed=embed)
