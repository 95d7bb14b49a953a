"""How answers are made: one configuration, as experiments compare them."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

from kotaemon_node.domain.limits import TOP_K_DEFAULT
from kotaemon_node.ports.sessions import Work

RetrieverType = Literal["hybrid", "lexical", "dense"]
ExpanderType = Literal["none", "rewrite", "hyde", "multi_hop"]
GeneratorType = Literal["model", "extractive"]


@dataclass(frozen=True, slots=True)
class AnswerProfile:
    """One configuration. ``generator`` "model" is extractive where no language model is set."""

    name: str = "default"
    retriever: RetrieverType = "hybrid"
    top_k: int = TOP_K_DEFAULT
    expander: ExpanderType = "rewrite"
    """What makes the question that is searched of the one that was asked."""
    generator: GeneratorType = "model"
    sampling: Mapping[str, float] = field(default_factory=dict)
    """``temperature`` and ``seed``, sent to the model; empty: the server's own."""

    @property
    def fingerprint(self) -> str:
        """16 hex digits over everything but the name: alike where answers are made alike."""
        said = {**asdict(self), "name": ""}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


DEFAULT_PROFILE: Final = AnswerProfile()

ProfileOf = Callable[[Work], AnswerProfile]
"""Tells by which configuration a turn is answered; the same for every turn of a session."""


def always_default(work: Work) -> AnswerProfile:
    """Answer every turn by the one configuration that there is."""
    return DEFAULT_PROFILE
