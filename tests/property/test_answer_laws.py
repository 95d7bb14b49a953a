"""No sentence without a source: every piece of an extractive answer stands in what it cites."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kotaemon_node.adapters.system.clock import SystemClock
from kotaemon_node.domain.knowledge import Hit, Passage, PassageKind, SearchResult
from kotaemon_node.domain.language import language_of
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.engine.choosing import PIECES_MAX
from kotaemon_node.engine.citations import citations
from kotaemon_node.engine.courtesies import courteous
from kotaemon_node.engine.evidence import Weighing
from kotaemon_node.engine.extractive import EVIDENCE_SHARE_MIN, ExtractiveAnswer, extract, weighed
from kotaemon_node.telemetry.metrics import Metrics
from tests.unit.test_engine_understanding import work
from tests.unit.test_faq_turn import Away, Shelf, Shown

# fmt: off
_WORDS = [
    "lamp", "returns", "The", "It", "30 days", "2019", "Aurora", "cup.", "is?", "sold!", "-", "•",
    "1.", "|", "| price |", ":\n", "\n", "\n\n", "[1]", "[9]", "```", "📦", "台灯", "的", "保修期",
    "是", "三年。", "它", "其中", "：\n", "iPhone 15", "退货；", "“好。”", "（一）", "𠮷", "。",
]
# fmt: on
_OPENINGS = (
    "",
    "The documents say this in another language:",
    "文档中只有其他语言的说明，原文如下：",
)
_text = st.lists(st.sampled_from(_WORDS), min_size=1, max_size=60).map(" ".join)
_kind: st.SearchStrategy[PassageKind] = st.sampled_from(("text", "table", "faq", "code"))


@st.composite
def _documents(draw: st.DrawFn) -> list[tuple[str, Hit]]:
    """Documents of which each has a passage that was found."""
    found = []
    for number in range(draw(st.integers(0, 4))):
        before, text, after = draw(_text), draw(_text), draw(_text)
        span = (len(before), len(before) + len(text))
        passage = Passage(
            id=f"p{number}",
            document=f"d{number}",
            revision="r",
            title=draw(st.sampled_from(("", "Lamps", "台灯"))),
            heading=(),
            page=None,
            span=span,
            text=text,
            language=language_of(text),
            kind=draw(_kind),
        )
        part = st.floats(0, 1)
        hit = Hit(
            passage,
            score=draw(part),
            dense=draw(part),
            lexical=0.0,
            coverage=draw(part),
            contrast=draw(st.none() | st.floats(-1, 1)),
        )
        found.append((before + text + after, hit))
    return found


@settings(max_examples=120, deadline=None)
@given(_documents(), _text, st.floats(0, 2))
def test_every_piece_is_quoted_from_the_document_that_its_mark_names(
    documents: list[tuple[str, Hit]], question: str, evidence_min: float
) -> None:
    hits = [hit for _, hit in documents]
    answer = extract(question, hits, evidence_min=evidence_min)
    docs = citations(answer.cited, _found(hits), quotes=answer.quotes)
    texts = {hit.passage.id: text for text, hit in documents}

    assert answer.known == bool(docs) == bool(answer.sentences)
    assert len(answer.sentences) <= PIECES_MAX
    for sentence in answer.sentences:
        doc = docs[sentence.n - 1]
        start, end = sentence.span
        assert sentence.text
        assert texts[doc["id"]][start:end] == sentence.text
        assert doc["span"][0] <= start < end <= doc["span"][1]
    _only_quotes(answer, docs)


def _only_quotes(answer: ExtractiveAnswer, docs: Sequence[Any]) -> None:
    """Take the quotes and their marks away: nothing but a fixed opening may be left."""
    assert [doc["n"] for doc in docs] == list(range(1, len(docs) + 1))
    if not answer.known:
        assert re.match("I don't know|我不知道", answer.text)
        assert docs == []
        return
    # A quote may be a single mark, which the opening holds as well: that is taken away first.
    opening = next((one for one in _OPENINGS if one and answer.text.startswith(one)), "")
    rest, quoted = answer.text.removeprefix(opening).lstrip(), 0
    for sentence in answer.sentences:
        before, found, rest = rest.partition(sentence.text)
        assert found
        assert not before.strip()
        mark = re.match(r" ?\[(\d+)\]", rest)
        assert mark is not None
        assert int(mark[1]) == sentence.n <= len(docs)
        rest, quoted = rest[mark.end() :], quoted + 1
    assert rest == ""
    assert quoted == sum(len(doc["quotes"]) for doc in docs)
    for doc in docs:
        ends = [0, *(end for _, end in doc["quotes"])]
        assert all(end <= start for end, (start, _) in zip(ends, doc["quotes"], strict=False))


@settings(max_examples=60, deadline=None)
@given(_documents(), _text)
def test_the_frames_of_a_turn_show_nothing_that_their_sources_do_not_hold(
    documents: list[tuple[str, Hit]], question: str
) -> None:
    """Also where an entry of an FAQ answers, and where a model was asked that is away."""
    out, model = _Frames(), Away()
    shown: Any = out
    asked: Any = model
    shelf = Shelf(*(hit for _, hit in documents))
    answerer = Answerer(shelf, language_model=asked, clock=SystemClock(), metrics=Metrics())

    draft = answerer.answer(work(question), shown, started_s=0.0)

    texts = {hit.passage.id: text for text, hit in documents}
    rest = out.written
    if rest == courteous(question):
        # Who thanks, or says yes to nothing, asks nothing.
        return
    if draft.unanswered:
        assert rest.startswith(("I don't know", "我不知道"))
        return
    opening = next(one for one in reversed(_OPENINGS) if rest.startswith(one))
    rest = rest.removeprefix(opening)
    for doc in out.docs:
        for start, end in doc["quotes"]:
            assert doc["span"][0] <= start < end <= doc["span"][1]
            for part in (texts[doc["id"]][start:end].strip(), f"[{doc['n']}]"):
                rest = rest.lstrip()
                assert rest.startswith(part)
                rest = rest.removeprefix(part)
    assert rest == ""


class _Frames(Shown):
    """What is shown, with the sources."""

    docs: Sequence[Any] = ()

    def source(self, docs: Any) -> None:
        self.docs = docs


@settings(max_examples=25, deadline=None)
@given(_documents(), _text)
def test_the_score_of_the_search_decides_nothing(
    documents: list[tuple[str, Hit]], question: str
) -> None:
    hits = [hit for _, hit in documents]
    rescored = [replace(hit, score=1 - hit.score) for hit in hits]
    assert extract(question, hits).text == extract(question, rescored).text


def _found(hits: Sequence[Hit]) -> SearchResult:
    return SearchResult("default", 3, "digest", tuple(hits))


@settings(max_examples=120, deadline=None)
@given(_documents(), _text)
def test_no_passage_that_was_not_looked_at_would_have_been_used(
    documents: list[tuple[str, Hit]], question: str
) -> None:
    hits = [hit for _, hit in documents if hit.passage.text.strip()]
    weighing = Weighing(question)
    all_of_them = [weighing.of(hit) for hit in hits]
    best = max(all_of_them, default=0.0)

    looked_at = dict(weighed(hits, weighing))

    assert all(weighing.most(hit) >= one for hit, one in zip(hits, all_of_them, strict=True))
    for hit, one in zip(hits, all_of_them, strict=True):
        if one >= EVIDENCE_SHARE_MIN * best:
            assert looked_at[hit] == one
