"""Laws of documents and passages, for all inputs."""

from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import given, settings

from coordinator.chunking import ATOM_WEIGHT_MAX, HAN_WEIGHT, passages_of, weight
from coordinator.ingest import ingest
from kotaemon_node.adapters.documents.endings import SUPPORTED_ENDINGS
from kotaemon_node.adapters.documents.parsed import Block, BlockKind, ParsedDocument
from kotaemon_node.domain import limits
from kotaemon_node.domain.sentences import sentence_spans

ENGLISH = st.lists(
    st.sampled_from(["Orders", "ship", "within", "3", "days", "e.g.", "Mr. Li", "lamps", "$4.90"]),
    min_size=1,
    max_size=30,
).map(lambda words: " ".join(words) + ".")
CHINESE = st.text(alphabet="订单在三天内发货退款保修，𠮷", min_size=1, max_size=40).map(
    lambda text: text + "。"
)
SENTENCES = st.lists(st.one_of(ENGLISH, CHINESE), min_size=1, max_size=25)
TEXTS = SENTENCES.map(" ".join) | SENTENCES.map("\n".join) | st.text(min_size=1).filter(str.strip)
HEADINGS = st.lists(st.sampled_from(["Returns", "退货", "Costs"]), max_size=2).map(tuple)
KINDS: st.SearchStrategy[BlockKind] = st.sampled_from(["text", "table", "faq", "code", "heading"])
PAGES = st.lists(st.integers(1, 60), max_size=3, unique=True).map(
    lambda offsets: tuple((offset, 2 + at) for at, offset in enumerate(sorted(offsets)))
)
BLOCKS = st.builds(
    Block, kind=KINDS, text=TEXTS, heading=HEADINGS, page=st.none() | st.just(1), pages=PAGES
)
DOCUMENTS = st.lists(BLOCKS, min_size=1, max_size=12).map(lambda it: ParsedDocument("T", tuple(it)))


@given(DOCUMENTS)
def test_spans_are_exact_increase_and_do_not_overlap(document: ParsedDocument) -> None:
    text = document.text()
    end = 0
    for passage in passages_of("a.md", "r", document):
        assert text[passage.span[0] : passage.span[1]] == passage.text
        assert end <= passage.span[0] < passage.span[1]
        end = passage.span[1]


@given(DOCUMENTS)
def test_every_sentence_lies_in_one_passage(document: ParsedDocument) -> None:
    spans = [it.span for it in passages_of("a.md", "r", document)]
    for start, block in zip(document.starts(), document.blocks, strict=True):
        if block.kind != "text":
            continue
        for first, last in sentence_spans(block.text):
            if (last - first) * HAN_WEIGHT <= ATOM_WEIGHT_MAX:
                holders = [it for it in spans if it[0] <= start + first and start + last <= it[1]]
                assert len(holders) == 1, block.text[first:last]


# fmt: off
WRITTEN = [
    "Dr. Smith et al. paid $3.50 for No. 5, i.e. 0.5 % more.", "See Fig. S2 and pp. 3-5 there.",
    "The U.S. and Canada are served, e.g. by Parcel Inc. from 9 a.m. on.", "Why not?", "Done!",
    'He said: "Stop. Now." and left; she stayed; we, too.', "(It is version 1.2.3 of example.com.)",
    "您的订单在3.5天内发出；共三件；已付款。", "“可以退货吗？”她问道。", "他说：“可以。”",
    "（真的？！）", "价格为 1,299.00 元，含税（13%）。", "iPhone 15 Pro 支持 5G！",
]
# fmt: on


@given(st.lists(st.sampled_from(WRITTEN), min_size=60, max_size=160))
def test_passages_begin_and_end_where_sentences_of_people_do(written: list[str]) -> None:
    text = " ".join(written)
    starts, ends, at = set(), set(), 0
    for sentence in written:
        starts.add(at)
        ends.add(at + len(sentence))
        at += len(sentence) + 1
    document = ParsedDocument("T", (Block("text", text),))
    for passage in passages_of("a.md", "r", document):
        assert passage.span[0] in starts, passage.text[:40]
        assert passage.span[1] in ends, passage.text[-40:]


@settings(max_examples=40)
@given(DOCUMENTS)
def test_pieces_of_a_table_say_its_header_and_none_is_beyond_all_bounds(
    document: ParsedDocument,
) -> None:
    blocks = tuple(
        replace(it, header=it.text.split("\n")[0]) if it.kind == "table" else it
        for it in document.blocks
    )
    tables = {
        start: block
        for start, block in zip(document.starts(), blocks, strict=True)
        if block.kind == "table"
    }
    for passage in passages_of("a.md", "r", ParsedDocument("T", blocks)):
        if passage.kind != "faq":
            assert weight(passage.text) <= ATOM_WEIGHT_MAX
        if passage.kind == "table":
            start = max(at for at in tables if at <= passage.span[0])
            header = tables[start].header
            # A longer row outweighs what it would stand above; an empty first line names nothing.
            repeated = 0 < weight(header) <= limits.CHUNK_CHARS_TARGET
            assert passage.span[0] == start or not repeated or header in passage.heading


@settings(max_examples=40)
@given(DOCUMENTS)
def test_a_passage_has_the_page_of_its_first_character(document: ParsedDocument) -> None:
    starts = document.starts()
    for passage in passages_of("a.md", "r", document):
        at = max(number for number, start in enumerate(starts) if start <= passage.span[0])
        page = document.blocks[at].page
        for offset, further in document.blocks[at].pages:
            page = further if offset <= passage.span[0] - starts[at] else page
        assert passage.page == page


@given(DOCUMENTS)
def test_no_word_is_lost(document: ParsedDocument) -> None:
    covered = bytearray(len(document.text()))
    for passage in passages_of("a.md", "r", document):
        covered[slice(*passage.span)] = b"x" * len(passage.text)
    for start, block in zip(document.starts(), document.blocks, strict=True):
        if block.kind != "heading":
            for at, char in enumerate(block.text, start):
                assert char.isspace() or covered[at]


# fmt: off
PIECES = [
    "# ", "## ", "\n", "\n\n", "- ", "1. ", "> ", "```\n", "|a|b|\n|-|-|\n", "<p>", "<td>", "</",
    "<table>", "<ul><li>", "&#0;", "&lt;", "**", "[x](y)", "word. ", "字。", "\u200b", '"', ",",
    "question,answer\n", "---\n", "<!--", "\r", "\t", "=====\n", "{{<", "\ufeff", "\ud800",
]
# fmt: on
MARKUP = st.lists(st.sampled_from(PIECES), max_size=60).map(
    lambda parts: "".join(parts).encode("utf-8", "surrogatepass")
)


@settings(max_examples=150)
@given(ending=st.sampled_from(SUPPORTED_ENDINGS), content=MARKUP | st.binary(max_size=300))
def test_any_file_becomes_a_document_or_a_reason(ending: str, content: bytes) -> None:
    document = ingest(f"a{ending}", content)
    if document.reason is not None:
        assert "internal error" not in document.reason
        assert not document.passages
        return
    document.text.encode()
    for passage in document.passages:
        assert document.text[slice(*passage.span)] == passage.text
        assert "\u200b" not in passage.text
