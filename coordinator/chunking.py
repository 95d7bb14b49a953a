"""A parsed document to passages: pieces that can be found and cited, each a span of its text.

Passages follow the structure first (never across a heading or a table's edge) and then the
sentences, which are never cut. Within a section the pieces are of about equal size and prefer to
end where a paragraph does. Code stays with the sentences that explain it: alone it says little, and
many small pieces under one heading would push each other's explanation out of the results.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kotaemon_node.adapters.documents.parsed import Block, BlockKind, ParsedDocument
from kotaemon_node.domain import limits
from kotaemon_node.domain.knowledge import Passage, PassageKind, passage_id
from kotaemon_node.domain.language import language_of
from kotaemon_node.domain.sentences import Span, sentence_spans

# A Han character says about as much as two to three Latin letters, and costs an encoder as many
# tokens; counted as one, Chinese passages would be cut off by the encoder's window.
HAN_WEIGHT: Final = 2
_HAN_FIRST, _HAN_LAST = "\u2e80", "\uffef"
# Longer than any sentence: text without punctuation, a row or a line of minified code. It is cut.
ATOM_WEIGHT_MAX: Final = 4 * limits.CHUNK_CHARS_MAX
_PASSAGE_KIND: Final[Mapping[BlockKind, PassageKind]] = {
    "heading": "text",
    "text": "text",
    "code": "text",
    "table": "table",
    "faq": "faq",
}
# A longer header row is not repeated above every later piece of its table: it would outweigh them,
# and that of a sheet of 16,000 columns, a thousand times, would be a gigabyte.
_HEADER_WEIGHT_MAX: Final = limits.CHUNK_CHARS_TARGET
# From this part of its size on a piece may end early, where a paragraph does.
_EARLY_END: Final = 0.6


@dataclass(frozen=True, slots=True)
class _Atom:
    """What is never cut: a sentence, a row, a line of code, an FAQ entry, a lone heading."""

    span: Span
    weight: int
    block: int
    code: bool
    page: int | None


@dataclass(frozen=True, slots=True)
class _Section:
    """Atoms in a row that may share a passage. A section of text may hold code."""

    kind: PassageKind
    heading: tuple[str, ...]
    header: str
    atoms: Sequence[_Atom]


def passages_of(document: str, revision: str, parsed: ParsedDocument) -> list[Passage]:
    """Return the passages of a document in reading order.

    For each of them ``parsed.text()[span[0]:span[1]] == text``, and ``page`` is where that begins.
    Spans increase and don't overlap, and every sentence of every block lies in one. A heading is in
    the ``heading`` of what is below it; one with nothing below it is a passage itself.
    """
    text = parsed.text()
    passages: list[Passage] = []
    for section in _sections(parsed, text):
        repeats = section.header and weight(section.header) <= _HEADER_WEIGHT_MAX
        for number, atoms in enumerate(_pieces(section.atoms)):
            span = (atoms[0].span[0], atoms[-1].span[1])
            repeated = (section.header,) if number and repeats else ()
            passages.append(
                Passage(
                    id=passage_id(document=document, revision=revision, span=span),
                    document=document,
                    revision=revision,
                    title=parsed.title,
                    heading=section.heading + repeated,
                    page=atoms[0].page,
                    span=span,
                    text=text[slice(*span)],
                    language=language_of(text[slice(*span)]),
                    kind="code" if all(atom.code for atom in atoms) else section.kind,
                )
            )
    return passages


def weight(text: str) -> int:
    """Return the size of a text in Latin letters."""
    wide = 0 if text.isascii() else sum(1 for char in text if _HAN_FIRST <= char <= _HAN_LAST)
    return len(text) + wide * (HAN_WEIGHT - 1)


def _sections(parsed: ParsedDocument, text: str) -> Iterator[_Section]:
    for members in _groups(parsed):
        block = members[0].block
        yield _Section(
            kind="text" if _long_entry(block) else _PASSAGE_KIND[block.kind],
            heading=block.heading,
            header=block.text.partition("\n")[0] if _long_entry(block) else block.header,
            atoms=[
                _Atom(
                    span,
                    weight(text[slice(*span)]),
                    member.number,
                    code=member.block.kind == "code",
                    page=member.block.page_at(span[0] - member.start),
                )
                for member in members
                for span in _atoms(member.block, member.start)
            ],
        )


@dataclass(frozen=True, slots=True)
class _Placed:
    number: int
    start: int
    block: Block


def _groups(parsed: ParsedDocument) -> Iterator[list[_Placed]]:
    """Yield blocks in a row that may share a passage: no heading or table between.

    The end of a page is none of the text: it may stand within a sentence.
    """
    group: list[_Placed] = []
    for number, (start, block) in enumerate(zip(parsed.starts(), parsed.blocks, strict=True)):
        flows = block.kind in {"text", "code"}
        if group and not flows:
            yield group
            group = []
        if block.kind != "heading" or _childless(parsed.blocks, number):
            group.append(_Placed(number, start, block))
        if not flows and group:
            yield group
            group = []
    if group:
        yield group


def _childless(blocks: Sequence[Block], at: int) -> bool:
    """Tell whether nothing stands below a heading."""
    if at + 1 == len(blocks):
        return True
    following = blocks[at + 1]
    return following.kind == "heading" and len(following.heading) <= len(blocks[at].heading)


def _atoms(block: Block, start: int) -> Iterator[Span]:
    if block.kind == "text" or _long_entry(block):
        spans = sentence_spans(block.text)
    elif block.kind == "table" or _large_code(block):
        spans = _lines(block.text)
    else:
        spans = [(0, len(block.text))]
    for begin, end in spans:
        for first, last in _bounded(block.text, begin, end):
            yield start + first, start + last


def _long_entry(block: Block) -> bool:
    """Tell whether an FAQ entry is an article: pieces of it are found under its question."""
    return block.kind == "faq" and weight(block.text) > ATOM_WEIGHT_MAX


def _large_code(block: Block) -> bool:
    return block.kind == "code" and weight(block.text) > limits.CHUNK_CHARS_TARGET


def _lines(text: str) -> list[Span]:
    spans: list[Span] = []
    at = 0
    for line in text.split("\n"):
        if line.strip():
            spans.append((at, at + len(line)))
        at += len(line) + 1
    return spans


def _bounded(text: str, begin: int, end: int) -> Iterator[Span]:
    """Cut what is far too long for a sentence, at a blank where there is one."""
    size = ATOM_WEIGHT_MAX // HAN_WEIGHT
    while end - begin > size and (
        end - begin > ATOM_WEIGHT_MAX or weight(text[begin:end]) > ATOM_WEIGHT_MAX
    ):
        blank = text.rfind(" ", begin + 1, begin + size)
        cut = blank if blank > begin + size // 2 else begin + size
        yield begin, cut
        begin = cut
        while begin < end and text[begin].isspace():
            begin += 1
    if begin < end:
        yield begin, end


def _pieces(atoms: Sequence[_Atom]) -> Iterator[list[_Atom]]:
    """Cut a section into pieces of about equal weight, none over the limit but a single atom."""
    total = sum(atom.weight for atom in atoms)
    if total <= limits.CHUNK_CHARS_MAX:
        goal: float = limits.CHUNK_CHARS_MAX
    else:
        goal = total / max(round(total / limits.CHUNK_CHARS_TARGET), 2)
    piece: list[_Atom] = []
    size = 0
    for atom in atoms:
        if piece and _ends_before(atom, last=piece[-1], size=size, goal=goal):
            yield piece
            piece, size = [], 0
        piece.append(atom)
        size += atom.weight
    if piece:
        yield piece


def _ends_before(atom: _Atom, *, last: _Atom, size: int, goal: float) -> bool:
    if size + atom.weight > limits.CHUNK_CHARS_MAX:
        return True
    # Half of the next atom beyond the goal is the fairest place to stop.
    if size + atom.weight / 2 > goal:
        return True
    return atom.block != last.block and goal < limits.CHUNK_CHARS_MAX and size > _EARLY_END * goal
