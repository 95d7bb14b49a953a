"""Every door that the API describes, given what breaks servers: a clear refusal, never a 5xx.

The short tests ask a pod in this process; the long one asks a whole cluster, beside a client that
only has questions. All of it is measured by ``python -m load.bench.bad_input doors``.
"""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from load.bad_input import doors, forms
from load.bad_input.doors import Caller, Said
from load.bad_input.neighbour import Neighbour
from tests.cluster import Cluster
from tests.fakes.services import FakeCluster

# Of each kind of what has broken servers: deep, huge, no UTF-8, no JSON, not an object, two of one.
BODIES = [
    ("deep", b"[" * 100_000, "reject"),
    ("deep and closed", b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "accept"),
    ("a number without end", b'{"message":' + b"9" * 10_000 + b"}", "accept"),
    ("a huge exponent", b'{"message":1e999999}', "accept"),
    ("not a number", b'{"message":NaN}', "reject"),
    ("no UTF-8", b'{"message":"\xff\xfe"}', "reject"),
    ("half a surrogate", b'{"message":"\\ud800"}', "either"),
    ("NUL", b'{"message":"a\\u0000b","session_id":"\\u0000"}', "accept"),
    ("a mark of byte order", b'\xef\xbb\xbf{"message":"hi"}', "either"),
    ("nothing", b" ", "reject"),
    ("null", b"null", "accept"),
    ("a text", b'"message"', "accept"),
    ("two of one name", b'{"message":"a","message":["b"]}', "accept"),
    ("a prototype", b'{"__proto__":{"a":1},"constructor":{"prototype":1}}', "accept"),
    ("cut", b'{"message":"hi', "reject"),
]
TEXTS = [
    "../../../../etc/passwd", "%00", "\x00", "'; DROP TABLE sessions;--", "{{7*7}}${7*7}<%= 7 %>",
    "$(id)`id`", "\u202e\u200b\ufeff", "😀" * 200, "%n%s%x", "a" * 5_000, "\r\nSet-Cookie: a=b",
    "-1", "99999999999999999999", "1e309", "NaN", "", " ", ".", "..", "con", "null", "<script>",
]  # fmt: skip
GROWN_BYTES_MAX = 120_000_000


class InProcess(Caller):
    """Asks an application without a network."""

    def __init__(self, client: FlaskClient) -> None:
        self._client = client

    def ask(self, method: str, target: str, *, body: bytes | None = None, **headers: str) -> Said:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named.setdefault("Content-Type", "application/json")
        # As a server hands them over.
        sent = [(name, value.encode().decode("latin-1")) for name, value in named.items()]
        answer = self._client.open(target, method=method, data=body, headers=sent)
        try:
            stream = answer.mimetype == "text/event-stream"
            return Said(answer.status_code, answer.mimetype, b"" if stream else answer.data)
        finally:
            answer.close()


@pytest.fixture
def caller() -> Iterator[InProcess]:
    with capture_logs() as logged:
        yield InProcess(FakeCluster().client())
    assert [line for line in logged if line["log_level"] in {"error", "critical"}] == []


def test_no_body_is_a_failure_at_any_door(caller: InProcess) -> None:
    described = [door for door in doors.doors(caller) if door.reads_json]
    assert len(described) > 15
    tried = [doors.try_json(caller, door, BODIES) for door in described]
    assert [fault for it in tried for fault in it.faults] == []


def test_no_text_is_a_failure_in_any_path_query_or_header(caller: InProcess) -> None:
    described = doors.doors(caller)
    assert len(described) > 60
    tried = [doors.try_texts(caller, door, TEXTS[at % 5 :: 5]) for at, door in enumerate(described)]
    assert sum(it.count for it in tried) > 500
    assert [fault for it in tried for fault in it.faults] == []


def test_no_upload_is_a_failure_and_none_climbs(caller: InProcess) -> None:
    tried = forms.try_forms(caller)
    assert tried.count == len(forms.hostile())
    named = forms.try_names(caller, [text for text in TEXTS if text])
    assert tried.faults + named.faults == []


@pytest.mark.data
@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_cluster_refuses_all_of_it_and_a_neighbour_notices_nothing(
    tmp_path: Path, public_data: Path
) -> None:
    bodies, texts = list(doors.json_texts(public_data)), doors.texts(public_data)
    with Cluster(tmp_path / "data", workers=2, plugins="sample") as cluster:
        caller = Caller(cluster.port)
        described = doors.doors(caller)
        pods = [psutil.Process(cluster.pid(name)) for name in ("worker-0", "worker-1")]
        before = [pod.memory_info().rss for pod in pods]
        faults: list[str] = []
        with Neighbour(cluster.port) as neighbour:
            for number, door in enumerate(described):
                if door.reads_json:
                    faults += doors.try_json(caller, door, bodies).faults
                faults += doors.try_texts(caller, door, texts[number % 40 :: 40]).faults
            faults += forms.try_forms(caller).faults
            faults += forms.try_names(caller, texts[::40]).faults
        grown = [pod.memory_info().rss - was for pod, was in zip(pods, before, strict=True)]
        assert faults == []
        assert neighbour.failed == []
        assert max(grown) < GROWN_BYTES_MAX
        assert not any('"level":"error"' in cluster.log(f"worker-{at}") for at in range(2))
