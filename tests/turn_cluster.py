"""A cluster with a paced language model, and what tests of surviving turns ask of it."""

import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from kotaemon_node.chaos.reader import Reading, TurnReader
from kotaemon_node.chaos.store import StoreView
from tests.cluster import Cluster
from tests.fakes.llm_server import FakeLlmServer

QUESTION = "How long does standard delivery to Singapore take?"
ANSWER_TOKENS = 80


class TurnCluster:
    """The cluster, its model and its store."""

    def __init__(self, cluster: Cluster, model: FakeLlmServer, store: StoreView) -> None:
        self.cluster = cluster
        self.model = model
        self.store = store
        self.question = QUESTION
        self.url = cluster.url

    def pace(self, *, first_ms: float = 30, token_ms: float = 20, end_ms: float = 0) -> None:
        """Let the model speak so fast from its next token on, and break nothing."""
        behaviour = self.model.behaviour
        behaviour.first_ms, behaviour.token_ms, behaviour.end_ms = first_ms, token_ms, end_ms
        self.model.break_with("stall", times=0)

    def reader(self, *, session_id: str = "", base: str = "", **options: Any) -> TurnReader:
        """Return a client of a new turn, in a new session where none is named."""
        return TurnReader(
            base or self.url,
            session_id=session_id or new_id("s"),
            turn_id=new_id("t"),
            message=self.question,
            **options,
        )

    def turn(self, reading: Reading) -> Mapping[str, Any]:
        """Return the turn as any pod shows it."""
        return turn_at(self.url, reading)

    def history(self, reading: Reading) -> list[Mapping[str, Any]]:
        """Return the turns of the session."""
        address = f"{self.url}/v1/sessions/{reading.session_id}"
        answer = requests.get(address, params={"limit": 200}, timeout=30)
        assert answer.status_code == 200, answer.text
        turns: list[Mapping[str, Any]] = answer.json()["turns"]
        return turns

    def again(self, reading: Reading) -> Reading:
        """Send the same turn once more, as a client that lost everything."""
        return TurnReader(
            self.url, session_id=reading.session_id, turn_id=reading.turn_id, message=self.question
        ).read()

    def owner(self, reading: Reading) -> str:
        """Return the name of the pod that runs the turn, "" while it is nobody's."""
        return str(self.turn(reading).get("owner") or "").partition(".")[0]

    def workers(self) -> list[str]:
        """Return the names of the workers."""
        return [row["name"] for row in self.cluster.ps() if row["role"] == "worker"]

    def metric(self, worker: str, name: str) -> float:
        """Return the value of a metric without labels on one worker."""
        shown = requests.get(f"{self.cluster.pod_url(worker)}/metrics", timeout=30).text
        return next(
            float(line.split()[1]) for line in shown.splitlines() if line.startswith(f"{name} ")
        )

    def metrics(self, name: str) -> dict[str, float]:
        """Return the value on every worker."""
        return {worker: self.metric(worker, name) for worker in self.workers()}

    def assert_whole(self, reading: Reading) -> None:
        """The client's text is the answer that was committed, in a history that has it once.

        So is that of somebody who comes now: the stored frames are those that were shown.
        """
        assert reading.state == "done", (reading.tries, reading.problems, reading.refusal)
        assert not reading.problems
        turn = self.turn(reading)
        assert turn["state"] == "done"
        assert turn["degraded"] is None
        assert reading.text == turn["answer"] != ""
        turns = [one["turn_id"] for one in self.history(reading)]
        assert turns.count(reading.turn_id) == 1
        again = self.again(reading)
        assert again.complete, again.problems
        assert again.numbered() == reading.numbered()


@contextmanager
def turn_cluster(
    data: Path,
    *,
    continues: str = "vllm",
    workers: int = 3,
    settings: Mapping[str, str] | None = None,
) -> Iterator[TurnCluster]:
    """Run a cluster whose model speaks about two seconds; ``continues``: LLM_CONTINUE."""
    with ExitStack() as stack:
        model = stack.enter_context(FakeLlmServer(tokens_min=ANSWER_TOKENS))
        environment = {
            "LLM_BASE_URL": model.base_url,
            "LLM_CONTINUE": continues,
            # The same question again is to be answered anew, word by word.
            "ANSWER_CACHE_TTL_S": "0",
            **(settings or {}),
        }
        cluster = stack.enter_context(Cluster(data, workers=workers, environment=environment))
        running = TurnCluster(cluster, model, stack.enter_context(StoreView(cluster.redis_url)))
        running.pace()
        yield running


def turn_at(url: str, reading: Reading) -> Mapping[str, Any]:
    """Return the turn as a pod shows it."""
    address = f"{url}/v1/sessions/{reading.session_id}/turns/{reading.turn_id}"
    found: Mapping[str, Any] = requests.get(address, timeout=30).json()
    return found


def new_id(prefix: str) -> str:
    """Return an id that no test has used."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


class Reader:
    """A client that reads beside the test: ``with Reader(running.reader()) as client: …``."""

    def __init__(self, reader: TurnReader) -> None:
        self.client = reader
        self.reading = reader.reading
        self._thread = threading.Thread(target=reader.read)

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.leave()
        self._thread.join(30)

    def finish(self, *, timeout_s: float = 90.0) -> Reading:
        """Return what was read, when it is over."""
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), self.reading.tries
        return self.reading

    def texts(self) -> int:
        """Return how many text frames have come."""
        return len(self.reading.frames("text"))
