"""While the session store is away: ``GET /ask`` is answered by one pod, all of turns is refused."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain.errors import (
    LanguageModelError,
    StoreBusy,
    StoreFull,
    StoreUnavailable,
)
from kotaemon_node.domain.limits import DIRECT_ANSWERS_MAX, STORE_AWAY_S
from kotaemon_node.engine import direct as direct_module
from kotaemon_node.engine.direct import DirectAnswers
from kotaemon_node.engine.terms import ModelTerms
from kotaemon_node.ports.runtime import StopSignal
from kotaemon_node.telemetry.metrics import Metrics
from tests.fakes.credentials import KeyedCluster, bearer
from tests.fakes.knowledge_base import DOCUMENT, GENERATION, SENTENCE
from tests.fakes.refusals import assert_refused
from tests.fakes.services import ANSWER, FakeCluster

AWAY = StoreUnavailable("the session store does not answer")
EXTRACTED = f"{SENTENCE} [1]"
ASKED = {"q": "When may I return goods?"}


class Model:
    """Says ``says``, or fails, or falls silent until it is stopped."""

    name, continues_prefix = "scripted", False

    def __init__(self, says: str = "", *, silent: bool = False) -> None:
        self.says = says
        self.silent = silent
        self.prompts: list[Any] = []

    def stream(self, messages: Any, *, stop: StopSignal, usage: Any, **_: Any) -> Iterator[str]:
        self.prompts.append(messages)
        usage.prompt_tokens, usage.completion_tokens = 1_000, 10
        stopped = threading.Event()
        with stop.breaking_off(stopped.set):
            if self.silent:
                stopped.wait(60)
            elif not self.says:
                raise LanguageModelError("it is away, too")
        yield self.says[:20]
        yield self.says[20:]


def away(model: Model | None = None, cluster: FakeCluster | None = None) -> FakeCluster:
    """Return a pod whose store is away."""
    cluster = cluster or FakeCluster()
    cluster.turns.refusal = AWAY
    cluster.direct = DirectAnswers(
        cluster.knowledge,
        clock=cluster.clock if model is None or not model.silent else SystemClock(),
        tasks=ThreadTasks(),
        metrics=Metrics(),
        language_model=model,
        terms=ModelTerms(price_prompt=2.0, price_completion=10.0),
    )
    return cluster


def asks(client: FlaskClient, **query: str) -> Any:
    return client.get("/ask", query_string={**ASKED, **query})


def test_a_question_is_answered_from_the_passages_and_says_so() -> None:
    answer = asks(away().client())

    assert answer.status_code == 200
    assert answer.json["answer"].startswith(EXTRACTED)
    assert answer.json["degraded"] == "session_store_unavailable"
    assert answer.json["state"] == "done"
    source = answer.json["source"][0]
    assert (source["document"], source["generation"]) == (DOCUMENT, GENERATION)
    # There is no session of it and no turn
    assert (answer.json["session_id"], answer.json["turn_id"]) == ("", "")
    assert answer.json["trace_id"] == answer.headers["X-Trace-ID"]


def test_a_question_in_a_session_is_answered_without_its_history() -> None:
    answer = asks(away().client(), session_id="s1")
    assert answer.status_code == 200
    assert answer.json["session_id"] == "s1"
    assert answer.json["degraded"] == "session_store_unavailable"


def test_search_goes_on_and_turns_are_refused() -> None:
    client = away().client()
    assert client.get("/v1/search", query_string=ASKED).status_code == 200
    for refused in (
        client.post("/chat", json={"message": "hi"}),
        client.post("/v1/sessions/s1/turns", json={"message": "hi"}),
    ):
        assert_refused(refused, 503, "store_unavailable")


def test_the_language_model_answers_and_its_marks_are_checked() -> None:
    model = Model("You may return goods within 30 days [1]. Penguins fly [1].")
    cluster = away(model)
    answer = asks(cluster.client())
    assert answer.json["answer"] == "You may return goods within 30 days [1]. Penguins fly."
    assert answer.json["degraded"] == "session_store_unavailable"
    assert SENTENCE in model.prompts[0][-1].content


def test_a_model_that_fails_leaves_the_passages() -> None:
    assert asks(away(Model()).client()).json["answer"].startswith(EXTRACTED)


def test_a_model_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_module.limits, "DIRECT_ANSWER_S", 0.05)
    assert asks(away(Model(silent=True)).client()).json["answer"].startswith(EXTRACTED)


def test_the_store_is_used_again_when_it_is_back_and_not_asked_by_all_meanwhile() -> None:
    cluster = away()
    client = cluster.client()
    asks(client)
    cluster.turns.refusal = None
    # Then nobody waits for it for a moment
    assert asks(client).json["degraded"] == "session_store_unavailable"
    cluster.clock.sleep(STORE_AWAY_S + 0.1)
    assert asks(client).json["answer"] == ANSWER
    assert asks(client).json["degraded"] is None


def test_a_store_that_is_full_is_away_for_questions_and_one_that_is_busy_is_not() -> None:
    cluster = away()
    cluster.turns.refusal = StoreFull("the session store is full")
    assert asks(cluster.client()).status_code == 200
    busy = away()
    busy.turns.refusal = StoreBusy("too many requests wait")
    assert_refused(asks(busy.client()), 429, "overloaded")


def test_no_more_are_answered_at_once_than_the_bound() -> None:
    cluster = away()
    assert isinstance(cluster.direct, DirectAnswers)
    for _ in range(DIRECT_ANSWERS_MAX):
        cluster.direct._free.acquire()
    assert_refused(asks(cluster.client()), 429, "overloaded")


def test_another_tenant_finds_nothing() -> None:
    cluster = KeyedCluster(stale_s=60)
    key = cluster.key(tenant="other")
    client = away(cluster=cluster).client()
    answer = client.get("/ask", query_string=ASKED, headers=bearer(key))
    assert answer.status_code == 200
    assert answer.json["source"] == []
    assert cluster.knowledge.questions == []


def test_where_keys_are_asked_for_nobody_is_let_in_without_the_store() -> None:
    cluster = KeyedCluster()
    key, client = cluster.key(), away(cluster=cluster).client()
    assert client.get("/ask", query_string=ASKED, headers=bearer(key)).status_code == 200
    cluster.keys.away = True
    cluster.clock.sleep(10)
    refused = client.get("/ask", query_string=ASKED, headers=bearer(key))
    assert_refused(refused, 503, "store_unavailable")


def test_keys_that_were_known_count_for_as_long_as_is_allowed() -> None:
    cluster = KeyedCluster(stale_s=300)
    key, client = cluster.key(), away(cluster=cluster).client()

    def status(text: str) -> int:
        answer = client.get("/ask", query_string=ASKED, headers=bearer(text))
        return int(answer.status_code)

    assert status(key) == 200
    cluster.keys.away = True
    for _ in range(3):
        cluster.clock.sleep(90)
        assert status(key) == 200
        assert status(key) == 200  # within the pause between two looks
        assert status("nonsense") == 401
    cluster.clock.sleep(90)
    assert status(key) == 503
    cluster.keys.away = False
    cluster.clock.sleep(1)
    assert status(key) == 200
