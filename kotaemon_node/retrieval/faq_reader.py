"""The entries of FAQs that a pod serves, for whoever keeps them: listed, looked through, by id.

What is known of a document's entries is kept by its revision, so that after a change only what
changed is read again. Answers are read when they are shown.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Final, Protocol

from kotaemon_node.domain import limits
from kotaemon_node.domain.faq_entries import (
    FAQ_ENDING,
    FaqEntry,
    FaqPage,
    FaqRow,
    faq_id,
    tags_of,
)
from kotaemon_node.domain.knowledge import DocumentEntry, GenerationRef, Manifest, Passage
from kotaemon_node.domain.words import words

# In what an FAQ table can stand. Formats are told apart by content; names that lie are rare.
_TABLE_ENDINGS: Final = (".csv", ".tsv", ".xlsx", ".docx", ".pptx")
_KEPT_MAX: Final = 4  # knowledge bases whose list is kept

_Key = tuple[str, str]
"""Document and revision."""


class _Pinned(Protocol):
    @property
    def ref(self) -> GenerationRef: ...
    @property
    def manifest(self) -> Manifest: ...
    def passages_of(self, document: str) -> tuple[Passage, ...]: ...


Lend = Callable[..., AbstractContextManager[_Pinned]]
"""``KnowledgeLibrary.pinned``."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """A row whose entry has no answer yet, and where it stands in its document."""

    row: FaqRow
    place: int
    sought: str
    """What a search looks through: question, variants, tags and id, as words."""


@dataclass(frozen=True, slots=True)
class _List:
    """The entries of one generation, newest first."""

    digest: str = ""
    of_document: Mapping[_Key, Sequence[_Listed]] = field(default_factory=dict)
    rows: Sequence[_Listed] = ()
    places: Mapping[str, int] = field(default_factory=dict)
    """Id to place in ``rows``."""
    complete: bool = True


class FaqReader:
    """``api.knowledge_services.FaqService`` over what a library lends. Thread safe."""

    def __init__(self, lend: Lend, *, compute: Callable[..., Any]) -> None:
        """``compute`` runs what reads many passages, as ``Tasks.compute``."""
        self._lend = lend
        self._compute = compute
        self._lock = Lock()
        self._lists: OrderedDict[str, _List] = OrderedDict()

    def page(
        self, kb: str, *, wanted: str, offset: int, limit: int, min_generation: int = 0
    ) -> FaqPage:
        """Return entries that hold all words of ``wanted`` in question, variants, tags or id.

        Raises as ``KnowledgeService.search``.
        """
        with self._lend(kb, min_generation=min_generation) as pinned:
            page: FaqPage = self._compute(self._page, pinned, wanted, offset, limit)
        return page

    def row(self, kb: str, entry_id: str, *, min_generation: int = 0) -> FaqRow | None:
        """Return the entry of this id, or None; raises as ``page``."""
        with self._lend(kb, min_generation=min_generation) as pinned:
            row: FaqRow | None = self._compute(self._row, pinned, entry_id)
        return row

    def _page(self, pinned: _Pinned, wanted: str, offset: int, limit: int) -> FaqPage:
        listed = self._listed(pinned)
        rows, sought = listed.rows, words(wanted)
        if sought:
            rows = [row for row in rows if all(f" {word}" in row.sought for word in sought)]
        shown = list(_with_answers(pinned, rows[offset : offset + limit]))
        return FaqPage(pinned.ref.generation, shown, len(rows), listed.complete)

    def _row(self, pinned: _Pinned, entry_id: str) -> FaqRow | None:
        listed = self._listed(pinned)
        place = listed.places.get(entry_id)
        if place is None:
            return None
        return next(_with_answers(pinned, [listed.rows[place]]))

    def _listed(self, pinned: _Pinned) -> _List:
        ref = pinned.ref
        with self._lock:
            known = self._lists.get(ref.kb, _List())
        if known.digest == ref.digest:
            return known
        made = _list(pinned, known.of_document)
        with self._lock:
            self._lists[ref.kb] = made
            self._lists.move_to_end(ref.kb)
            while len(self._lists) > _KEPT_MAX:
                self._lists.popitem(last=False)
        return made


def _list(pinned: _Pinned, before: Mapping[_Key, Sequence[_Listed]]) -> _List:
    of_document: dict[_Key, Sequence[_Listed]] = {}
    left_rows, left_passages, complete = limits.FAQ_LISTED_MAX, limits.FAQ_LOOKED_AT_MAX, True
    # Entries of their own first: they are what people come to change.
    for entry in sorted(filter(_may_hold, pinned.manifest.documents), key=_tables_last):
        if left_rows <= 0 or entry.passages > left_passages:
            complete = False
            continue
        key = (entry.document, entry.revision)
        found = before[key] if key in before else list(_entries_of(pinned, entry))
        left_passages -= entry.passages
        left_rows -= len(found)
        of_document[key] = found
    rows = [row for found in of_document.values() for row in found]
    rows.sort(key=lambda listed: listed.row.changed_at, reverse=True)
    places = {listed.row.id: place for place, listed in enumerate(rows)}
    return _List(pinned.ref.digest, of_document, rows, places, complete)


def _may_hold(entry: DocumentEntry) -> bool:
    name = entry.document.lower()
    if name.endswith(FAQ_ENDING):
        return entry.status in {"indexed", "failed"}
    return entry.status == "indexed" and name.endswith(_TABLE_ENDINGS)


def _tables_last(entry: DocumentEntry) -> tuple[bool, str]:
    return not entry.document.lower().endswith(FAQ_ENDING), entry.document


def _entries_of(pinned: _Pinned, document: DocumentEntry) -> Iterator[_Listed]:
    """Yield the entries of a document; those in a row with one answer are one, asked variously."""
    own = faq_id(document.document)
    blank = FaqRow(
        id=own or "",
        document=document.document,
        revision=document.revision,
        changed_at=document.indexed_at,
        managed=own is not None,
        entry=None,
        reason=document.reason,
    )
    if document.status == "failed":
        row = replace(blank, id=own or document.document)
        yield _Listed(row, place=0, sought=_sought(row))
        return
    groups: list[tuple[int, list[Passage]]] = []
    for place, passage in enumerate(pinned.passages_of(document.document)):
        if passage.kind != "faq":
            continue
        if groups and _answer(groups[-1][1][0]) == _answer(passage):
            groups[-1][1].append(passage)
        else:
            groups.append((place, [passage]))
    for place, (first, *others) in groups:
        entry = FaqEntry(
            question=_question(first),
            answer="",
            tags=tags_of(first.heading),
            variants=tuple(_question(other) for other in others),
        )
        row = replace(blank, id=own or first.id, entry=entry, passage=first.id)
        yield _Listed(row, place, _sought(row))


def _with_answers(pinned: _Pinned, rows: Sequence[_Listed]) -> Iterator[FaqRow]:
    document = ""
    passages: tuple[Passage, ...] = ()
    for listed in rows:
        row = listed.row
        if row.entry is None:
            yield row
            continue
        if row.document != document:
            document, passages = row.document, pinned.passages_of(row.document)
        answer = _answer(passages[listed.place])
        yield replace(row, entry=replace(row.entry, answer=answer))


def _question(passage: Passage) -> str:
    return passage.text.partition("\n")[0]


def _answer(passage: Passage) -> str:
    return passage.text.partition("\n")[2]


def _sought(row: FaqRow) -> str:
    entry = row.entry
    texts = (entry.question, *entry.variants, *entry.tags) if entry is not None else ()
    return " " + " ".join(words(" ".join((*texts, row.id))))
