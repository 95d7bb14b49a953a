"""Every bound is written down with its number; those that clients meet refuse as they should."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node import domain
from kotaemon_node.api.errors import ERRORS
from kotaemon_node.api.observed import ACTIVE
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Overloaded, StoreBusy, StoreFull, StoreUnavailable
from kotaemon_node.server.requests import CountedRequests
from tests.fakes.services import FakeCluster

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "limits.md"
MODULES = [
    importlib.import_module(f"{domain.__name__}.{file.stem}")
    for file in sorted(Path(domain.__file__).parent.glob("*limits.py"))
]
BOUNDS = {
    name: value
    for module in MODULES
    for name, value in sorted(vars(module).items())
    if name.isupper()
}
TURNS = "/v1/sessions/s/turns"
SSE = {"Accept": "text/event-stream"}


def listed() -> dict[str, tuple[str, str]]:
    """Return the rows of the page: bound → number, what happens when it is reached."""
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    return {name: (number, reached) for name, number, reached in rows}


@pytest.mark.parametrize("name", BOUNDS)
def test_every_bound_is_listed_with_its_number_and_what_happens_then(name: str) -> None:
    value = BOUNDS[name]
    number, reached = listed()[name]
    assert number == ", ".join(map(written, value if isinstance(value, tuple) else (value,)))
    assert reached


def written(number: float) -> str:
    """Return a number as the page has it."""
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def test_no_bound_has_two_numbers() -> None:
    names = [name for module in MODULES for name in vars(module) if name.isupper()]
    assert len(names) == len(set(names))


def test_codes_that_the_page_names_are_codes() -> None:
    told = [code for _, text in listed().values() for code in re.findall(r"(\d{3}) `(\w+)`", text)]

    assert told
    assert {ERRORS[code].status for _, code in told} == {int(status) for status, _ in told}
    assert all(ERRORS[code].status == int(status) for status, code in told)


@pytest.mark.parametrize(
    ("refusal", "status", "code", "retry_after"),
    [
        (Overloaded("32 turns of this session wait already"), 429, "overloaded", "1"),
        (StoreBusy("too many requests wait for the session store"), 429, "overloaded", "1"),
        (StoreUnavailable("the session store does not answer"), 503, "store_unavailable", "1"),
        (StoreFull("the session store is full"), 503, "store_full", "5"),
    ],
)
@pytest.mark.parametrize("headers", [{}, SSE])
def test_a_turn_that_meets_a_bound_is_refused_and_told_when_to_come_back(
    refusal: Exception, status: int, code: str, retry_after: str, headers: dict[str, str]
) -> None:
    cluster = FakeCluster()
    cluster.turns.refusal = refusal

    answer = cluster.client().post(TURNS, json={"message": "When?"}, headers=headers)

    assert (answer.status_code, answer.json["error"]["code"]) == (status, code)
    assert answer.json["error"]["retryable"] is True
    assert answer.headers["Retry-After"] == retry_after


def test_a_pod_answers_so_many_requests_at_once_and_health_besides() -> None:
    client = FakeCluster().client()
    full = {ACTIVE: limits.REQUESTS_PER_POD_MAX}
    over = {ACTIVE: limits.REQUESTS_PER_POD_MAX + 1}

    assert client.get("/v1/sessions", environ_overrides=full).status_code == 200
    refused = client.get("/v1/sessions", environ_overrides=over)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json["error"]["code"] == "overloaded"
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path, environ_overrides=over).status_code == 200


def test_requests_are_counted_and_their_bodies_sent_in_pieces() -> None:
    seen: list[int] = []

    def application(environ: dict[str, Any], _: object) -> list[bytes]:
        seen.append(environ[ACTIVE])
        return [b"", b"x" * (2 * limits.CLIENT_PIECE_BYTES + 1)]

    counted = CountedRequests(application)
    first, second = counted({}, lambda: None), counted({}, lambda: None)

    assert seen == [1, 2]
    assert [len(piece) for piece in first] == [limits.CLIENT_PIECE_BYTES] * 2 + [1]
    first.close()  # type: ignore[attr-defined]
    second.close()  # type: ignore[attr-defined]
    assert counted.active == 0


@pytest.mark.parametrize("path", ["/chat", TURNS])
def test_a_turn_that_was_accepted_is_never_answered_with_send_it_again(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster()

    def busy(*_: object, **__: object) -> None:
        raise StoreBusy("too many requests wait for the session store")

    monkeypatch.setattr(cluster.turns, "wait", busy)
    body = {"message": "When?", "turn_id": "t", "session_id": "s"}
    if path == TURNS:
        del body["session_id"]

    answer = cluster.client().post(path, json=body)

    assert answer.status_code == 202
    assert answer.headers["Location"] == f"{TURNS}/t"
    assert (answer.json["turn_id"], answer.json["state"]) == ("t", "running")


def test_a_stream_of_an_accepted_turn_begins_and_says_come_back() -> None:
    cluster = FakeCluster()
    cluster.turns.pauses = {1: [StoreBusy("too many requests wait for the session store")]}

    answer = cluster.client().post(TURNS, json={"message": "When?", "turn_id": "t"}, headers=SSE)

    assert answer.status_code == 200
    events = answer.text.strip().split("\n\n")
    assert events[-1].startswith("event: reconnect")
    assert json.loads(events[-1].partition("data: ")[2])["turn_id"] == "t"
    assert cluster.turns.closed == 1
