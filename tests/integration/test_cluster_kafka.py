"""The whole cluster with a Kafka broker as its bus: with it, without it, and after it came back."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from kafka import KafkaConsumer, TopicPartition

from kotaemon_node.adapters.kafka import KafkaAddress, KafkaBus
from kotaemon_node.adapters.redis import RedisGenerationPointer, connect, keys
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain import limits
from kotaemon_node.domain.events import KNOWLEDGE_UPDATED, SESSION_UPDATED
from kotaemon_node.local.cluster import load
from kotaemon_node.ports.events import Message
from tests.cluster import Cluster

PATIENCE_S = 60.0
WORKERS = 2


class OnKafka(Cluster):
    """A cluster that runs a broker of its own."""

    def command(self, *arguments: str, timeout_s: float = 240.0) -> Any:
        bus = ("--bus", "kafka") if arguments[0] == "up" else ()
        return super().command(*arguments, *bus, timeout_s=timeout_s)

    @property
    def redis_port(self) -> int:
        cluster = load(self.folder)
        assert cluster is not None
        return cluster.redis_port

    @property
    def broker(self) -> KafkaAddress:
        return KafkaAddress(servers=(f"127.0.0.1:{self.row('kafka')['port']}",))

    def unsent(self) -> int:
        """Return how many turns are in the index of running turns."""
        with redis.Redis(port=self.redis_port) as client:
            shards = range(limits.RUNNING_SHARDS)
            kinds = (keys.running_shard, keys.unsent_shard)
            places = [kind(shard) for shard in shards for kind in kinds]
            return sum(int(client.zcard(place)) for place in places)  # type: ignore[arg-type]

    def counted(self, topic: str, outcome: str) -> list[float]:
        """Return how many events each pod met with this outcome."""
        start = f'kotaemon_events_total{{outcome="{outcome}",topic="{topic}"}} '
        found = []
        for port in self.worker_ports():
            text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
            lines = [line for line in text.splitlines() if line.startswith(start)]
            found.append(float(lines[0].removeprefix(start)) if lines else 0.0)
        return found


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("knowledge")
    (folder / "cups.md").write_text("# Cups\n\nThe Aurora cup costs 18 dollars.\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, knowledge: Path) -> Iterator[OnKafka]:
    running = OnKafka(
        tmp_path_factory.mktemp("data") / "data", knowledge=knowledge, workers=WORKERS
    )
    with running:
        broker = running.pid("kafka")
        yield running
    assert not Path(f"/proc/{broker}").exists() or running_elsewhere(broker)


def running_elsewhere(pid: int) -> bool:
    """Tell whether the number belongs to a stranger by now."""
    return b"kafka.Kafka" not in Path(f"/proc/{pid}/cmdline").read_bytes()


def tell(knowledge: Path, name: str, price: int) -> str:
    """Write a document and return the question that it answers."""
    (knowledge / f"{name.lower()}.md").write_text(
        f"# {name}\n\nThe {name} teapot costs {price} dollars.\n", "utf-8"
    )
    return f"How much does the {name} teapot cost?"


def until_all_say(cluster: Cluster, question: str, text: str) -> float:
    """Ask every pod at its own port until each says so; return the seconds it took."""

    def says(port: int) -> bool:
        reply = requests.get(f"http://127.0.0.1:{port}/ask", params={"q": question}, timeout=60)
        return reply.status_code == 200 and text in reply.json()["answer"]

    with ThreadPoolExecutor(WORKERS) as pool:
        return cluster.wait_until(
            lambda: all(pool.map(says, cluster.worker_ports())), what=f"all pods say {text}"
        )


@dataclass
class Load:
    """What a few people who talk all the time met."""

    errors: list[str] = field(default_factory=list)
    seconds: list[tuple[str, float]] = field(default_factory=list)
    """(name of the phase, how long a turn took)"""
    phase: str = "with the broker"

    def worst(self, phase: str) -> str:
        """Return the quantiles of a phase, in milliseconds."""
        took = sorted(seconds for name, seconds in self.seconds if name == phase)
        marks = {"p50": 0.5, "p95": 0.95, "max": 1.0}
        shown = {mark: took[min(len(took) - 1, int(len(took) * q))] for mark, q in marks.items()}
        return f"{phase}: {len(took)} turns, " + ", ".join(
            f"{mark} {1000 * seconds:.0f} ms" for mark, seconds in shown.items()
        )


@contextmanager
def talking(cluster: Cluster, *, people: int = 3) -> Iterator[Load]:
    """Let people talk, each in a session of their own, and note every answer."""
    load, over = Load(), threading.Event()

    def talk(number: int) -> None:
        client = requests.Session()
        while not over.is_set():
            phase, began = load.phase, time.monotonic()
            reply = client.post(
                f"{cluster.url}/v1/sessions/talk-{os.getpid()}-{number}/turns",
                json={"message": "How much does the Aurora cup cost?"},
                timeout=60,
            )
            load.seconds.append((phase, time.monotonic() - began))
            if reply.status_code != 200 or "18 dollars" not in reply.json()["answer"]:
                load.errors.append(f"{reply.status_code}: {reply.text[:200]}")
            over.wait(0.02)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(people)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        over.set()
        for thread in threads:
            thread.join(PATIENCE_S)


def test_a_changed_document_comes_to_all_pods_by_the_broker(
    cluster: OnKafka, knowledge: Path
) -> None:
    row = cluster.row("kafka")
    assert (row["role"], row["ready"]) == ("kafka", True)
    handled = cluster.counted(KNOWLEDGE_UPDATED, "handled")

    took = until_all_say(cluster, tell(knowledge, "Borealis", 49), "49 dollars")

    print(f"served by all pods after {took:.2f} s")
    cluster.wait_until(
        lambda: all(
            now > before
            for now, before in zip(
                cluster.counted(KNOWLEDGE_UPDATED, "handled"), handled, strict=True
            )
        ),
        what="every pod heard of it from the broker",
    )


@pytest.mark.parametrize("outage_s", [pytest.param(0.0, id="short"), 60.0])
@pytest.mark.long
def test_without_the_broker_chat_goes_on_and_what_was_not_sent_goes_out_later(
    cluster: OnKafka, knowledge: Path, outage_s: float
) -> None:
    cluster.wait_until(lambda: cluster.unsent() == 0, what="nothing is left to be sent")
    dropped = cluster.counted(SESSION_UPDATED, "dropped")
    with talking(cluster) as load:
        cluster.wait_until(lambda: len(load.seconds) >= 60, what="people talk")
        load.phase = "the broker stops"
        assert cluster.command("stop", "kafka").returncode == 0
        stopped = time.monotonic()
        load.phase = "without the broker"
        assert not cluster.row("kafka")["ready"]
        price = 50 + int(outage_s)
        took = until_all_say(cluster, tell(knowledge, "Cirrus", price), f"{price} dollars")
        cluster.wait_until(
            lambda: sum(phase == load.phase for phase, _ in load.seconds) >= 60, what="people talk"
        )
        cluster.wait_until(
            lambda: time.monotonic() - stopped >= outage_s, what="the outage lasts", timeout_s=120
        )
        assert all(row["ready"] for row in cluster.ps() if row["role"] == "worker")
        unsent = cluster.unsent()
        load.phase = "the broker starts"
        assert cluster.command("start", "kafka").returncode == 0
        load.phase = "with the broker again"
        cluster.wait_until(
            lambda: sum(phase == load.phase for phase, _ in load.seconds) >= 30, what="people talk"
        )

    drained = cluster.wait_until(lambda: cluster.unsent() == 0, what="every event was sent")
    print(f"away for {time.monotonic() - stopped - drained:.0f} s; the change came in {took:.1f} s")
    print(f"{unsent} events unsent when the broker came back, all sent {drained:.1f} s after")
    for phase in dict.fromkeys(name for name, _ in load.seconds):
        print(load.worst(phase))
    assert load.errors == []
    assert unsent >= 60
    assert cluster.counted(SESSION_UPDATED, "dropped") == dropped
    until_all_say(cluster, tell(knowledge, "Stratus", price), f"{price} dollars")


def test_every_event_replayed_twice_and_backwards_changes_nothing(
    cluster: OnKafka, knowledge: Path
) -> None:
    until_all_say(cluster, tell(knowledge, "Nimbus", 77), "77 dollars")
    session = f"{cluster.url}/v1/sessions/replayed"
    for _ in range(2):
        reply = requests.post(f"{session}/turns", json={"message": "Aurora cup?"}, timeout=60)
        assert reply.status_code == 200
    cluster.wait_until(lambda: cluster.unsent() == 0, what="nothing is left to be sent")
    cluster.wait_until(lambda: _settled(cluster), what="the heartbeats tell the newest")
    before = _state(cluster, session)

    said = _everything_said(cluster.broker)
    assert {message.topic for message in said} == {KNOWLEDGE_UPDATED, SESSION_UPDATED}
    bus = KafkaBus(cluster.broker, clock=SystemClock())
    met = [sum(pair) for pair in zip(*_met(cluster), strict=True)]
    again = [*said[-200:], *reversed(said[-200:]), Message(KNOWLEDGE_UPDATED, "x", b"\xffpoison")]
    for message in again:
        bus.publish(message)
    bus.close()
    cluster.wait_until(
        lambda: all(
            sum(now) >= then + len(again)
            for now, then in zip(zip(*_met(cluster), strict=True), met, strict=True)
        ),
        what="every pod met every event again",
    )

    assert all(count >= 1 for count in cluster.counted(KNOWLEDGE_UPDATED, "poison"))
    assert _state(cluster, session) == before
    until_all_say(cluster, "How much does the Nimbus teapot cost?", "77 dollars")


def _met(cluster: OnKafka) -> list[list[float]]:
    return [
        cluster.counted(topic, outcome)
        for topic in (KNOWLEDGE_UPDATED, SESSION_UPDATED)
        for outcome in ("handled", "ignored", "poison")
    ]


def _state(cluster: OnKafka, session: str) -> Any:
    """Return what every pod serves and what is in a session."""
    pods = requests.get(f"{cluster.url}/v1/cluster", timeout=30).json()["pods"]
    served = {
        pod["name"]: {kb: ref["digest"] for kb, ref in pod["generations"].items()} for pod in pods
    }
    return served, requests.get(session, timeout=30).json()


def _settled(cluster: OnKafka) -> bool:
    """Tell whether all heartbeats name what is current, which they do within half a second."""
    store = connect(f"redis://127.0.0.1:{cluster.redis_port}/0")
    current = RedisGenerationPointer(store).current("default")["default"].digest
    store.client.close()
    pods = requests.get(f"{cluster.url}/v1/cluster", timeout=30).json()["pods"]
    return all(pod["generations"]["default"]["digest"] == current for pod in pods)


def _everything_said(broker: KafkaAddress) -> list[Message]:
    """Return all messages that the broker has, topic by topic."""
    reader = KafkaConsumer(group_id=None, auto_offset_reset="earliest", **broker.options())
    places = [
        TopicPartition(topic, number)
        for topic in (KNOWLEDGE_UPDATED, SESSION_UPDATED)
        for number in reader.partitions_for_topic(topic)
    ]
    reader.assign(places)
    ends, said = reader.end_offsets(places), []
    while any(reader.position(place) < ends[place] for place in places):
        for place, records in reader.poll(timeout_ms=500).items():
            said += [Message(place.topic, one.key.decode(), one.value) for one in records]
    reader.close()
    return said
