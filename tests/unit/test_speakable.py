"""What is read aloud of an answer, and when each sentence of it is ready to be."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kotaemon_node.domain.speakable import SentenceFeed, speakable


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("**Standard** delivery takes 2–3 days [1][2].", "Standard delivery takes 2 to 3 days."),
        ("It costs $4.90.", "It costs 4.90 dollars."),
        ("见 [说明](https://x.example/a)，费用 $5。", "见 说明，费用 5 美元。"),
        ("Write to help@shop.example.", "Write to help at shop dot example."),
        ("See https://www.shop.example/a?b=1 please", "See shop dot example please"),
        ("- Parcel 1234567890 left", "Parcel 1 2 3 4 5 6 7 8 9 0 left"),
        ("| --- | --- |", ""),
        ("[1]", ""),
        ("<script>alert(1)</script>`code`", "alert(1) code"),
        ("Open Account → Orders 🍲", "Open Account, Orders"),
    ],
)
def test_what_is_read_of_it(written: str, read: str) -> None:
    assert speakable(written) == read


def test_a_sentence_is_ready_when_the_next_begins() -> None:
    feed = SentenceFeed()

    assert feed.feed("It takes two days") == []
    assert [said.text for said in feed.feed(". It ")] == ["It takes two days."]
    assert [said.text for said in feed.feed("costs nothing")] == []
    assert [said.text for said in feed.finish()] == ["It costs nothing"]


def test_an_answer_without_an_end_is_spoken_in_parts_at_once() -> None:
    feed, text = SentenceFeed(), "over and over, " * 1_400
    before_s = time.thread_time()
    found = [
        said for start in range(0, len(text), 5) for said in feed.feed(text[start : start + 5])
    ]
    found += feed.finish()

    assert time.thread_time() - before_s < 3  # 0.3 s here; looking at all of it took 6
    assert all(len(said.text) <= 300 for said in found)
    assert found[0].end <= 300
    words = " ".join(said.text for said in found).replace(",", "").split()
    assert words == text.replace(",", "").split()
    waiting = SentenceFeed()
    waiting.feed("word " * 130)
    assert "".join(said.text for said in waiting.finish()).count("word") < 70


@pytest.mark.parametrize(
    "run", [" " * 4_000, "\n" * 4_000, " \n" * 2_000, ", " * 2_000, "|" * 4_000]
)
def test_a_long_run_of_blanks_or_marks_costs_nothing(run: str) -> None:
    before_s = time.thread_time()

    assert speakable(f"one{run}two").split()[-1] == "two"
    assert time.thread_time() - before_s < 0.1  # 1 ms here; blank by blank it took 0.3 s


@given(st.text(alphabet="ab. ,。！\n[1]中", max_size=400), st.integers(1, 30))
def test_pieces_make_no_difference_to_places(text: str, size: int) -> None:
    feed = SentenceFeed()
    found = [
        said
        for start in range(0, len(text), size)
        for said in feed.feed(text[start : start + size])
    ] + feed.finish()

    places = [(said.start, said.end) for said in found]
    assert places == sorted(places)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(places))
    assert all(said.text == speakable(text[said.start : said.end]) for said in found)
