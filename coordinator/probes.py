"""The probe set of a knowledge base: questions, and the documents that have to be found.

It lies beside the documents as ``.probes.yaml`` (hidden, so that it never is one itself):

probes:
  - question: How long may I return a lamp?
    documents: [returns.md]
    phrase: 30 days            # optional: a passage found has to hold it
"""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, Final

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from coordinator.folder import KnowledgeFolder
from kotaemon_node.domain import limits
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE

PROBES_FILE: Final = ".probes.yaml"
_PROBLEMS_SHOWN: Final = 3


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Takes no aliases: a few lines of them that are merged stand for billions of entries."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "found an alias", mark)
        return super().compose_node(parent, index)


@dataclass(frozen=True, slots=True)
class Probe:
    """A question whose answer is known."""

    question: str
    documents: tuple[str, ...]
    phrase: str | None = None

    @property
    def digest(self) -> str:
        """Name it among others: 16 hex digits."""
        told = repr((self.question, sorted(self.documents), self.phrase))
        return hashlib.sha256(told.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ProbeSet:
    """The probes of a knowledge base, or why its file cannot be used."""

    probes: tuple[Probe, ...] = ()
    digest: str = ""
    """sha256 (hex) of the file's bytes, "" where there is none."""
    problem: str | None = None


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    question: Annotated[str, Field(max_length=limits.QUERY_CHARS_MAX), AfterValidator(_not_blank)]
    documents: Annotated[
        list[Annotated[str, AfterValidator(_not_blank)]],
        Field(min_length=1, max_length=limits.PROBE_DOCUMENTS_MAX),
    ]
    phrase: (
        Annotated[
            str,
            Field(max_length=limits.PROBE_PHRASE_CHARS_MAX),
            AfterValidator(_not_blank),
        ]
        | None
    ) = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    probes: Annotated[list[_Row], Field(max_length=limits.PROBES_MAX)]


def read_probes(folder: KnowledgeFolder, kb: str) -> ProbeSet:
    """Return the probe set of ``kb``. Never raises: what is wrong with it is its ``problem``."""
    name = PROBES_FILE if kb == DEFAULT_KNOWLEDGE_BASE else f"{kb}/{PROBES_FILE}"
    try:
        raw = folder.beside(name, bytes_max=limits.PROBES_FILE_BYTES_MAX)
    except OSError as error:
        return ProbeSet(digest="unreadable", problem=f"{name}: {error.strerror or error}")
    if raw is None:
        return ProbeSet()
    digest = hashlib.sha256(raw).hexdigest()
    try:
        return ProbeSet(_probes(raw), digest)
    except ValueError as error:
        return ProbeSet(digest=digest, problem=f"{name}: {error}")


def _probes(raw: bytes) -> tuple[Probe, ...]:
    """Raise ``ValueError`` with a message for the file's owner."""
    if len(raw) > limits.PROBES_FILE_BYTES_MAX:
        raise ValueError(f"it has more than {limits.PROBES_FILE_BYTES_MAX} bytes")
    try:
        read = _File.model_validate(_loaded(raw.decode()))
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except ValidationError as error:
        raise ValueError(_told(error)) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        raise ValueError(f"it is not YAML without aliases{place}") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return tuple(Probe(row.question, tuple(row.documents), row.phrase) for row in read.probes)


def _loaded(text: str) -> Any:
    """Return what a YAML text says. Raises ``ValueError``, ``YAMLError`` or ``RecursionError``."""
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError):
        raise
    except Exception as error:  # noqa: BLE001 - values that are not of their tag raise anything
        raise ValueError(f"it has a value that cannot be read: {error!r}"[:200]) from None


def _told(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [
        f"{'.'.join(str(step) for step in problem['loc']) or 'file'}: {problem['msg']}"
        for problem in problems[:_PROBLEMS_SHOWN]
    ]
    more = len(problems) - _PROBLEMS_SHOWN
    return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")
