"""The form that every data set is brought into."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kotaemon_node.domain.language import Language, language_of


@dataclass(frozen=True, slots=True)
class Document:
    """A text that becomes a file of the knowledge base."""

    name: str
    """By which gold labels name it."""
    text: str
    title: str = ""
    group: str = ""
    """Documents of one group are left out together; "": the document alone is one."""
    markdown: bool = False
    """Whether the text has Markdown in it; else it is plain."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what is known of its answer."""

    id: str
    text: str
    gold: Mapping[str, float] = field(default_factory=dict)
    """Document that answers to its grade, above 0."""
    answers: tuple[str, ...] = ()
    """Right answers, any of which will do; empty where the set has none."""
    answerable: bool = True
    """Whether the documents have an answer."""
    history: tuple[tuple[str, str], ...] = ()
    """(role, text) of what was said before, oldest first."""

    @property
    def language(self) -> Language:
        """The language of the question."""
        return language_of(self.text)


@dataclass(frozen=True, slots=True)
class DataSet:
    """Documents and questions about them."""

    name: str
    documents: Sequence[Document]
    questions: Sequence[Question]
    folder: Path | None = None
    """A folder of real documents instead, whose names are paths below it."""
    files_digest: str = ""
    """Names the content of that folder."""

    @property
    def digest(self) -> str:
        """Names the content: sha256 (hex) over documents and questions."""
        sha256 = hashlib.sha256(self.files_digest.encode())
        said = [*map(asdict, self.documents), *map(asdict, self.questions)]
        for row in said:
            sha256.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
        return sha256.hexdigest()
