"""The knowledge base of a run, as what asks it needs it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.ports.signing import Verifier
from kotaemon_node.retrieval.dense import EncodedQuestion
from kotaemon_node.retrieval.searcher import Searcher

Tell = Callable[[str, int, int], None]
"""Called with what is being done, and how much of how much."""


@dataclass(frozen=True, slots=True)
class Built:
    """A generation that was made, where and by whom it was signed."""

    ref: GenerationRef
    passages: int
    failed: tuple[tuple[str, str], ...]
    """(document, reason) of files that could not be read."""
    artifacts: Path
    verifier: Verifier


Build = Callable[[Path, Path, Tell], Built]
"""Makes a generation of a folder of documents (first) below a folder (second)."""


@dataclass(frozen=True, slots=True)
class Base:
    """An open knowledge base."""

    searcher: Searcher
    encode: Callable[[str], EncodedQuestion]
    names: Mapping[str, str]
    """File of the knowledge base to the name that gold labels use; empty: they are the same."""

    def name_of(self, document: str) -> str:
        """Return the name by which gold labels know a document."""
        return self.names.get(document, document)
