"""Routes of what is kept of finished turns: feedback, figures, audit records."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kotaemon_node.domain.errors import Overloaded, StoreUnavailable
from kotaemon_node.domain.session import SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.analytics import Day, Tally
from kotaemon_node.ports.feedback import Feedback
from kotaemon_node.ports.turn_records import TurnRecord
from tests.fakes.refusals import assert_refused
from tests.fakes.services import FakeCluster

TRACE = "0af7651916cd43dd8448eb211c80319c"
RATE = "/v1/sessions/s1/turns/t1/feedback"


class Desk:
    """Feedback in a dict."""

    def __init__(self) -> None:
        self.said: dict[str, Feedback] = {}

    def rate(self, key: TurnKey, turn: Turn, said: Feedback) -> None:
        self.said[key.turn_id] = said

    def of(self, key: SessionKey, turn_ids: Sequence[str]) -> Mapping[str, Feedback]:
        return {one: self.said[one] for one in turn_ids if one in self.said}


class Counted:
    """The same figures each day."""

    def __init__(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        self._counts = counts
        self.asked: list[date] = []

    def add(self, tally: Tally) -> None: ...

    def days(self, tenant: str, days: Sequence[date]) -> Sequence[Day]:
        self.asked = list(days)
        return [Day(day, self._counts, {"why": 2, "when": 1}, {"why": 1}) for day in days]


class Kept:
    """Records in a list, newest first."""

    def __init__(self, *records: Mapping[str, Any]) -> None:
        self._records = records

    def put(self, record: TurnRecord) -> None: ...

    def find(self, tenant: str, trace_id: str) -> Sequence[Mapping[str, Any]]:
        return [one for one in self._records if one["trace_id"] == trace_id]


def record(turn_id: str, **said: Any) -> dict[str, Any]:
    """Return a record as an earlier version may have written it: with few fields."""
    fields = {
        "trace_id": TRACE, "session_id": "s1", "turn_id": turn_id, "at": 1.0, "state": "done",
        "epoch": "e", "history": [], "message": "why?", "options": {}, "asked": {}, "profile": {},
        "knowledge": {}, "passages": [], "steps": {}, "rounds": [], "answer": "so", "cited": [],
        "unanswered": False, "usage": {}, "timings": {}, "phases": [], "attempts": 1, "losses": 0,
        "pods": ["a"], "degraded": None, "error": None, "versions": {},
    }  # fmt: skip
    return {**fields, **said}


@pytest.fixture
def cluster() -> FakeCluster:
    cluster = FakeCluster()
    cluster.feedback = Desk()
    assert cluster.client().post(
        "/v1/sessions/s1/turns", json={"message": "when?", "turn_id": "t1"}
    ).json["turn_id"] == "t1"  # fmt: skip
    return cluster


@pytest.mark.parametrize(
    ("said", "kept"), [("up", "up"), ("down", "down"), (1, "up"), (-1, "down")]
)
def test_a_rating_is_kept_and_shown_with_its_session(
    cluster: FakeCluster, said: Any, kept: str
) -> None:
    client = cluster.client()
    for _ in range(2):  # a repeat changes nothing
        answer = client.post(RATE, json={"rating": said, "comment": " too long "})
        assert answer.status_code == 200
        assert (answer.json["rating"], answer.json["comment"]) == (kept, "too long")

    assert client.get("/v1/sessions/s1").json["feedback"] == {"t1": kept}


@pytest.mark.parametrize("error", [Overloaded("all are taken"), StoreUnavailable("away")])
def test_a_session_is_shown_without_ratings_that_cannot_be_read(
    cluster: FakeCluster, error: Exception
) -> None:
    class Closed(Desk):
        def of(self, key: SessionKey, turn_ids: Sequence[str]) -> Mapping[str, Feedback]:
            raise error

    cluster.feedback = Closed()

    answer = cluster.client().get("/v1/sessions/s1")

    assert answer.status_code == 200
    assert [turn["turn_id"] for turn in answer.json["turns"]] == ["t1"]


@pytest.mark.parametrize("said", ["good", 0, 2, True, None, 1.0, [1]])
def test_what_is_no_rating_is_refused(cluster: FakeCluster, said: Any) -> None:
    assert_refused(cluster.client().post(RATE, json={"rating": said}), 422, "invalid")


def test_only_ones_own_finished_turns_are_rated(cluster: FakeCluster) -> None:
    client, body = cluster.client(), {"rating": "up"}
    other, missing = RATE.replace("s1", "s2"), RATE.replace("t1", "t2")
    assert_refused(client.post(other, json=body), 404, "session_not_found")
    assert_refused(client.post(missing, json=body), 404, "turn_not_found")
    long = {"rating": "up", "comment": "x" * 1_001}
    assert_refused(client.post(RATE, json=long), 413, "too_large")
    key = TurnKey(SessionKey("default", "s1"), "t3")
    cluster.sessions.running[key] = Turn("t3", "when?", State.RUNNING)
    assert_refused(client.post(RATE.replace("t1", "t3"), json=body), 409, "conflict")


def test_the_record_of_a_trace_is_the_newest_turns_and_names_the_others() -> None:
    cluster = FakeCluster()
    messages = [{"role": "user", "content": "why?"}]
    cluster.records = Kept(record("t2", steps={"generation": {"messages": messages}}), record("t1"))
    client = cluster.client()

    newest = client.get(f"/v1/traces/{TRACE}").json
    assert (newest["turn_id"], newest["prompt"]) == ("t2", messages)
    assert [one["turn_id"] for one in newest["turns"]] == ["t2", "t1"]
    named = client.get(f"/v1/traces/{TRACE}?turn_id=t1").json
    assert (named["turn_id"], named["prompt"], named["cut"]) == ("t1", None, False)
    assert_refused(client.get(f"/v1/traces/{TRACE}?turn_id=t9"), 404, "not_found")
    assert_refused(client.get(f"/v1/traces/{'1' * 32}"), 404, "not_found")
    assert_refused(client.get("/v1/traces/mine"), 400, "malformed")
    _assert_described(cluster, "/v1/traces/{trace_id}", newest)


def test_where_nothing_is_kept_nothing_is_found() -> None:
    client = FakeCluster().client()

    assert_refused(client.get(f"/v1/traces/{TRACE}"), 404, "not_found")
    assert_refused(client.get("/v1/analytics"), 404, "not_found")


def test_figures_of_the_days_that_are_named() -> None:
    cluster = FakeCluster()
    arm = {"turns": 10, "answered": 8, "unanswered": 2, "total_n": 1, "total_ms": 80,
           "total_le_100": 1}  # fmt: skip
    cluster.analytics = counted = Counted({"wide/a": arm, "wide/b": arm, "default": {"turns": 1}})
    cluster.clock.at_s = datetime(2026, 3, 9, 23, tzinfo=UTC).timestamp()
    client = cluster.client()

    week = client.get("/v1/analytics").json
    assert (week["first"], week["last"]) == ("2026-03-03", "2026-03-09")
    assert (week["totals"]["turns"], len(week["days"])) == (7 * 21, 7)
    assert week["days"][0]["figures"]["turns"] == 21
    assert [one["experiment"] for one in week["comparisons"]] == ["wide"]
    assert week["top_questions"][0] == {"question": "why", "turns": 14}
    assert week["unanswered_questions"] == [{"question": "why", "turns": 7}]
    _assert_described(cluster, "/v1/analytics", week)
    one = client.get("/v1/analytics?from=2026-03-01&to=2026-03-02&experiment=wide").json
    assert one["totals"]["turns"] == 2 * 20
    assert counted.asked == [date(2026, 3, 1), date(2026, 3, 2)]
    assert client.get("/v1/analytics?to=0001-01-03").json["first"] == "0001-01-01"


@pytest.mark.parametrize("query", ["from=2026-03-02&to=2026-03-01", "from=2025-01-01", "to=now"])
def test_days_that_are_none_are_refused(query: str) -> None:
    cluster = FakeCluster()
    cluster.analytics = Counted({})

    assert_refused(cluster.client().get(f"/v1/analytics?{query}"), 422, "invalid")


def _assert_described(cluster: FakeCluster, path: str, answer: Mapping[str, Any]) -> None:
    document = cluster.client().get("/openapi.json").json
    answers = document["paths"][path]["get"]["responses"]["200"]["content"]
    schema = {**answers["application/json"]["schema"], "components": document["components"]}
    Draft202012Validator(schema).validate(answer)
