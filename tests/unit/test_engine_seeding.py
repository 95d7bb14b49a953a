"""What was said before a session is read as its first exchanges, and leaves as they do."""

from dataclasses import replace
from typing import Any

from kotaemon_node.domain.limits import MAX_HISTORY_TURNS
from kotaemon_node.domain.session import SessionKey, SessionView, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.memory import MemoryRule, summary_by_rules
from kotaemon_node.engine.seeding import exchanges, with_seed
from kotaemon_node.engine.understanding.expanding import Exchange, Expanding, Said
from kotaemon_node.ports.sessions import Lease, Work
from tests.fakes.services import FakeCluster


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


LAMP = [
    said("user", "Do you sell the lamp Aurora?"),
    said("assistant", "Yes, the lamp Aurora is in stock."),
]


def work(version: int, turns: tuple[Turn, ...] = (), *, message: str = "", **view: Any) -> Work:
    session = SessionView(
        "s", "e", version, "h", 0.0, 0.0, turns, context={"history": LAMP}, **view
    )
    lease = Lease(TurnKey(SessionKey("default", "s"), "now"), "e", 1, "a", "trace")
    return Work(lease, message or "what does it cost?", {}, session, attempts=1)


def told(one: Work) -> list[tuple[str, str]]:
    return [(turn.message, turn.answer) for turn in one.session.turns]


def test_the_first_message_is_understood_by_what_was_said_before() -> None:
    seeded = with_seed(work(0))

    assert told(seeded) == [(LAMP[0]["content"], LAMP[1]["content"])]
    assert "Aurora" in Expanding()._alone(_said(seeded), stop=None, asking=lambda: None).search  # type: ignore[arg-type]
    assert "Aurora" not in Expanding()._alone(_said(work(0)), stop=None, asking=lambda: None).search  # type: ignore[arg-type]


def _said(one: Work) -> Any:
    past = [Exchange(turn.message, turn.answer) for turn in one.session.turns]
    return Said(one.message, past, "trace", None, "")  # type: ignore[arg-type]


def test_it_stands_before_the_turns_until_it_is_summed_up_or_the_context_ends() -> None:
    first = Turn("t1", "and blue?", State.DONE, answer="Yes.", version=1)
    assert [turn.version for turn in with_seed(work(1, (first,))).session.turns] == [0, 1]

    summed_up = work(1, (first,), summary="…", summary_to=1)
    lay_idle = work(1, ())
    begun_anew = work(4, (replace(first, version=4),))
    assert [with_seed(it) is it for it in (summed_up, lay_idle, begun_anew)] == [True] * 3


def test_it_is_summed_up_with_the_turns_behind_it() -> None:
    rule = MemoryRule(max_history=1, summary_threshold=1)
    first = Turn("t1", "and blue?", State.DONE, answer="Yes, in blue.", version=1)
    session = with_seed(work(1, (first,))).session

    summary = summary_by_rules(session, rule.leaving(session, version=2))

    assert summary is not None
    assert summary.to == 1
    assert "Aurora" in summary.text
    assert "in blue" in summary.text


def test_messages_become_the_newest_exchanges_whatever_they_are() -> None:
    many = [it for n in range(30) for it in (said("user", f"q{n}"), said("assistant", f"a{n}"))]
    kept = exchanges([said("assistant", "Hello!"), *many, said("user", "x"), said("user", "y"), 7])

    assert len(kept) == MAX_HISTORY_TURNS
    assert (kept[-1].message, kept[-1].answer) == ("x\ny", "")
    assert (kept[-2].message, kept[-2].answer) == ("q29", "a29")
    assert all(turn.version == 0 and turn.by_bot for turn in kept)
    assert [(it.message, it.answer) for it in exchanges([said("assistant", "Hi")])] == [("", "Hi")]


def test_a_history_that_is_none_is_refused_and_a_repeat_finds_its_session() -> None:
    client = FakeCluster().client()
    for history in ({"a": 1}, ["x"], [{"role": "system", "content": "x"}], [{"role": "user"}]):
        answer = client.post("/v1/sessions", json={"context": {"history": history}})
        assert answer.status_code == 422
    body, headers = {"context": {"history": LAMP}}, {"Idempotency-Key": "order 7"}

    made = [client.post("/v1/sessions", json=body, headers=headers).json for _ in range(2)]
    other = client.post("/v1/sessions", json=body, headers={"Idempotency-Key": "order 8"}).json
    named = client.post("/v1/sessions", json={"session_id": "mine", **body}).json

    assert made[0] == made[1]
    assert len({made[0]["session_id"], other["session_id"], named["session_id"]}) == 3
    assert named["session_id"] == "mine"
    too_long = client.post("/v1/sessions", json={}, headers={"Idempotency-Key": "x" * 257})
    assert too_long.status_code == 413
