"""Laws of the citation gate: how a text is cut changes nothing, and nothing but marks is lost."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from kotaemon_node.domain.limits import CITATION_HELD_CHARS_MAX
from kotaemon_node.engine.citing import CitationGate
from tests.unit.test_citing import HITS, QUESTION

_PARTS = (
    *("Parcels leave within two days", "A return is free within 30 days", "It costs 99 euros"),
    *(
        "[1]",
        " [2]",
        "[3]",
        " [1][3]",
        "［1］",
        "【2】",
        "[1, 2]",
        "[1] [2]",
        "[12",
        "[",
        "]",
        "[[1]]",
    ),
    *(
        ". ",
        "。",
        "\n",
        " ",
        "  ",
        "[9]",
        "[see]",
        "三十天内免费退货",
        "X200",
        ", ",
        "[1][2][3][1][2]",
    ),
)
texts = st.lists(st.sampled_from(_PARTS), max_size=12).map("".join)
MARKS = re.compile(r" ?[\[［【] ?\d[\d,， 、]*[\]］】]")


def without_marks(text: str) -> str:
    """Return the text without marks and blanks, and without marks that are left then."""
    while (less := MARKS.sub("", text).replace(" ", "")) != text:
        text = less
    return text


def let_out(pieces: list[str], *, behind: str = "") -> list[str]:
    gate = CitationGate(HITS, question=QUESTION)
    gate.go_on_behind(behind)
    return [*(gate.feed(piece) for piece in pieces), gate.finish()]


@given(texts, st.data())
def test_the_same_comes_out_however_the_text_is_cut(text: str, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=8).map(sorted))
    pieces = [text[at:to] for at, to in zip([0, *places], [*places, len(text)], strict=True)]
    assert "".join(let_out(pieces)) == "".join(let_out([text]))
    assert "".join(let_out(list(text))) == "".join(let_out([text]))


@given(texts)
@example("[1][2][3][1][2][3]")
@example("[12[1]]")
@example("[[9]1]")
def test_nothing_but_marks_is_taken_and_little_is_held_back(text: str) -> None:
    gate = CitationGate(HITS, question=QUESTION)
    given_out = "".join(gate.feed(letter) for letter in text)
    assert len(gate._held) <= CITATION_HELD_CHARS_MAX
    given_out += gate.finish()
    assert without_marks(given_out) == without_marks(text)
    assert all(int(n) in {1, 2, 3} for n in re.findall(r"\[(\d{1,3})\]", given_out))


@given(texts, st.data())
def test_another_pod_goes_on_from_any_place_as_the_first_would_have(
    text: str, data: st.DataObject
) -> None:
    """What the model is asked to continue is what was shown; it says again what was held back."""
    place = data.draw(st.integers(0, len(text)))
    first = CitationGate(HITS, question=QUESTION)
    shown = first.feed(text[:place])
    held = first._held
    rest = first.feed(text[place:]) + first.finish()
    assert "".join(let_out([held + text[place:]], behind=shown)) == rest
