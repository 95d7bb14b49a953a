"""What the scenarios' users make of a cluster that errs on purpose."""

import random
from collections.abc import Mapping
from typing import Any

import pytest

from load.scenarios import playing
from load.scenarios.door import Refused, Timed, Unreachable
from load.scenarios.playing import Player, cut_and_come_back, talk_through
from load.scenarios.talks import Step, Talk
from load.scenarios.watched import Event, Watched

URL = "/v1/sessions/default"


class Cluster:
    """A door to nowhere: answers as it is told."""

    def __init__(self, answers: Mapping[str, str], **faults: Any) -> None:
        self.answers = answers
        self.faults = faults
        self.kept: dict[str, str] = {}
        self.asked: list[str] = []
        self.users: list[str] = []
        self.back_behind: list[int] = []
        self._message = ""

    def new_session(self, user: str = "") -> str:
        self.users.append(user)
        return "s"

    def ask(
        self, session_id: str, message: str, watched: Watched, *, turn_id: str, timed: Timed,
        until: Any = lambda watched: False,
    ) -> None:  # fmt: skip
        self.asked.append(message)
        self._message = message
        if error := self.faults.pop("ask", None):
            raise error
        self._say(watched, until)
        if self.faults.pop("cut", None):
            raise Unreachable("cut")

    def come_back(
        self, session_id: str, watched: Watched, *, turn_id: str, timed: Timed, url: str = ""
    ) -> None:
        self.back_behind.append(watched.last)
        timed.served_by = url
        self._say(watched, lambda watched: False)

    def session(self, session_id: str) -> Mapping[str, Any]:
        turns = [
            {"turn_id": turn, "state": "done", "answer": self.faults.get("kept", text)}
            for turn, text in self.kept.items()
        ]
        last = turns[-1]["turn_id"] if turns else ""
        kind = self.faults.get("pending")
        return {"turns": turns, "pending": {"kind": kind, "turn_id": last} if kind else None}

    def source(self, doc: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"text": "36 months", "span": self.faults.get("span", [0, 9])}

    def _say(self, watched: Watched, until: Any) -> None:
        text = self.answers[self._message]
        self.kept[watched.turn_id] = text
        half = len(text) // 2
        frames: list[dict[str, Any]] = [
            {"type": "source", "docs": [{"n": 1, "url": URL}]},
            {"type": "text", "content": text[:half], "offset": 0},
            {"type": "text", "content": text[half:], "offset": half},
            {"type": "done", "state": "done", "answer": text},
        ]
        last = 2 if "cut" in self.faults and not watched.last else len(frames)
        for seq, frame in enumerate(frames[:last], 1):
            if seq <= watched.last:
                continue
            whole = {**frame, "seq": seq, "turn_id": watched.turn_id}
            watched.take(Event(f"{watched.turn_id}:{seq}", frame["type"], whole))
            if until(watched):
                return


class Told:
    def __init__(self) -> None:
        self.done: list[str] = []
        self.wrong: dict[str, str] = {}

    def __call__(
        self, what: str, took_s: float, *, chars: int = 0, error: Exception | None = None
    ) -> None:
        if error is None:
            self.done.append(what)
        else:
            self.wrong[what] = str(error)


def player(cluster: Cluster) -> tuple[Player, Told]:
    told = Told()
    return Player(cluster, told, lambda: None, random.Random(1)), told  # type: ignore[arg-type]


LAMPS = Step("How long?", says=("36 MONTHS",), cites=True)
ANSWERS = {"How long?": "36 months. [1]", "yes": "It is cancelled.", "Cancel 7": "Cancel 7?"}


def talked(*steps: Step, **faults: Any) -> tuple[Told, Cluster]:
    cluster = Cluster(ANSWERS, **faults)
    who, told = player(cluster)
    talk_through(who, "x", Talk(steps, user="{customer}"), {"customer": "ann", "order": "7"})
    return told, cluster


def test_a_conversation_that_is_right_is_told_step_by_step() -> None:
    told, cluster = talked(LAMPS, Step("yes", says=("cancelled",)))
    assert told.wrong == {}
    assert told.done == [
        "x: new session", "x: first text", "x: answer", "x: first text", "x: answer",
        "x: read back",
    ]  # fmt: skip
    assert (cluster.users, cluster.asked) == (["ann"], ["How long?", "yes"])


@pytest.mark.parametrize(
    ("step", "faults", "wrong"),
    [
        (Step("How long?", says=("two years",)), {}, "does not say 'two years'"),
        (Step("yes", cites=True), {}, "cites nothing"),
        (LAMPS, {"span": [9, 9]}, "a citation opens at nothing"),
        (Step("Cancel 7", waits="yes"), {}, "does not wait for a yes"),
        (Step("Cancel 7", waits="yes"), {"pending": "value"}, "does not wait for a yes"),
        (LAMPS, {"ask": Refused("429 overloaded")}, "429 overloaded"),
    ],
)
def test_a_wrong_answer_ends_the_conversation(
    step: Step, faults: Mapping[str, Any], wrong: str
) -> None:
    told, cluster = talked(step, Step("yes"), **faults)
    assert wrong in told.wrong.pop("x: answer")
    assert told.wrong == {}
    assert len(cluster.asked) == 1


def test_what_the_session_keeps_has_to_be_what_was_told() -> None:
    told, _ = talked(LAMPS, kept="something else")
    assert told.wrong == {"x: read back": "the session keeps another answer than was told"}


def test_an_answer_may_end_a_talk_well() -> None:
    told, cluster = talked(Step("yes", says=("never said",), unless=("is cancelled",)), LAMPS)
    assert told.wrong == {}
    assert "x: nothing left to do" in told.done
    assert cluster.asked == ["yes"]


def test_the_yes_that_is_waited_for_is_found_and_names_are_put_in() -> None:
    told, cluster = talked(Step("Cancel {order}", says=("{order}?",), waits="yes"), pending="yes")
    assert told.wrong == {}
    assert cluster.asked == ["Cancel 7"]


def test_who_is_cut_off_comes_back_behind_the_last_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playing, "_BACK_S", 0.0)
    told, cluster = talked(LAMPS, cut=True)
    assert told.wrong == {}
    assert cluster.back_behind == [2]
    assert told.done.count("x: cut off, came back") == 1
    # Of a turn of which no frame came, the same question is sent again, under the same id.
    told, cluster = talked(LAMPS, ask=Unreachable("refused"))
    assert told.wrong == {}
    assert (cluster.asked, len(cluster.kept)) == (["How long?"] * 2, 1)


def test_who_hangs_up_in_the_middle_gets_the_rest_from_wherever_it_asks() -> None:
    cluster = Cluster(ANSWERS)
    who, told = player(cluster)
    for _ in range(8):
        cut_and_come_back(who, "How long?", others=("http://pod",))
        cluster.kept.clear()
    assert told.wrong == {}
    assert set(cluster.back_behind) == {2, 3}
    assert told.done.count("reconnect: went on at another pod") == 8
