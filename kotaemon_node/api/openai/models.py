"""Which models there are: the assistant, over each knowledge base, and what encodes."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kotaemon_node.api.context import knowledge, services
from kotaemon_node.api.openai.errors import ModelNotFound
from kotaemon_node.domain.errors import NotFound

ASSISTANT: Final = "kotaemon"
_OWNER: Final = "kotaemon"


def listed() -> list[Mapping[str, Any]]:
    """Return the models that the caller may name."""
    return [_model(name) for name in _names()]


def found(name: str) -> Mapping[str, Any]:
    """Return one of them; raises ``ModelNotFound``."""
    if name not in set(_names()):
        raise ModelNotFound(name)
    return _model(name)


def knowledge_base_of(model: str) -> str | None:
    """Return the knowledge base that a model of chats names, None: the default one.

    Raises ``ModelNotFound``.
    """
    if model == ASSISTANT:
        return None
    if model not in set(_chatting()):
        raise ModelNotFound(model)
    return model.removeprefix(f"{ASSISTANT}/")


def _names() -> Iterator[str]:
    yield from _chatting()
    yield from services().openai.embed


def _chatting() -> Iterator[str]:
    yield ASSISTANT
    try:
        served = sorted(knowledge().served())
    except NotFound:
        return  # a tenant need not have anything
    for kb in served:
        yield f"{ASSISTANT}/{kb}"


def _model(name: str) -> Mapping[str, Any]:
    # When it was made is not known of an assistant; clients want a number.
    return {"id": name, "object": "model", "created": 0, "owned_by": _OWNER}
