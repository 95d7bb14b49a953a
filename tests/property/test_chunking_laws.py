"""Laws of documents and passages, for all inputs."""

import hypothesis.strategies as st
from hypothesis import given, settings

from coordinator.chunking import ATOM_WEIGHT_MAX, HAN_WEIGHT, passages_of
from coordinator.ingest import ingest
from kotaemon_node.adapters.documents.parsed import Block, BlockKind, ParsedDocument
from kotaemon_node.adapters.documents.reading import SUPPORTED_ENDINGS
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
