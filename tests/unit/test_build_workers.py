"""Documents are shared out to build workers; whatever becomes of those, each document is read."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from coordinator.folder import FileChanged, FileState
from coordinator.ingest import Ingested, ingest
from coordinator.metrics import CoordinatorMetrics
from coordinator.reading.bounds import Bounds
from coordinator.reading.reader import Begun, Load
from coordinator.workers.pieces import Pieces
from coordinator.workers.sharing import SharedReader
from coordinator.workers.worker import BuildWorker, Sources
from kotaemon_node.adapters.signing import Ed25519Signer
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.errors import CorruptArtifact, Unavailable
from kotaemon_node.domain.events import BUILD_DONE, BuildTask
from kotaemon_node.ports.events import Message
from tests.fakes.encoder import HashingEncoder
from tests.fakes.reading import ReaderHere
from tests.fakes.signing import SIGNER, VERIFIER

PATIENCE_S = 60.0
CONTENT = "# Lamps\n\nA lamp. 台灯。\n\n# Chairs\n\nA chair.\n".encode()


class Told:
    """A bus of one topic: who publishes tells the subscriber."""

    def __init__(self) -> None:
        self.told: list[Message] = []
        self._more = threading.Condition()
        self.silent = False

    def publish(self, message: Message) -> None:
        with self._more:
            if not self.silent:
                self.told.append(message)
            self._more.notify_all()

    def subscribe(
        self, topics: tuple[str, ...], *, on_positioned: Callable[[], None]
    ) -> Iterator[Message]:
        assert topics == (BUILD_DONE,)
        at = 0
        on_positioned()
        while True:
            with self._more:
                self._more.wait_for(lambda at=at: len(self.told) > at)  # type: ignore[misc]
            yield self.told[at]
            at += 1


class Offers:
    """Keeps what is offered until a worker of the test takes it."""

    def __init__(self, workers: int = 1) -> None:
        self.there = workers
        self.offered: list[BuildTask] = []
        self.away = False

    def offer(self, task: BuildTask) -> None:
        if self.away:
            raise Unavailable("the bus is away")
        self.offered.append(task)

    def workers(self) -> int:
        return self.there


class NearReader(ReaderHere):
    """Takes one document; how many it was given is counted."""

    def __init__(self, load: Callable[[FileState], bytes], *, room: int = 0) -> None:
        super().__init__(load)
        self.room = room
        self.read: list[str] = []

    def begin_of(self, tenant: str, kb: str, state: FileState, load: Load) -> Begun:
        self.read.append(state.document)
        return super().begin_of(tenant, kb, state, load)


class Shop:
    """A leader with its store, and a worker."""

    def __init__(self, root: Path, *, bounds: Bounds | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.store = FileArtifactStore(root)
        self.encoder = HashingEncoder()
        self.pieces = self.pieces_of(self.encoder)
        self.bus = Told()
        self.offers = Offers()
        self.metrics = CoordinatorMetrics()
        self.here = NearReader(self.load)
        self.shared = SharedReader(
            self.here,
            self.pieces,
            self.offers,
            self.bus,
            load=self.load,
            metrics=self.metrics,
            clock=SystemClock(),
            bounds=bounds,
        )
        self.shared.start()

    def pieces_of(self, encoder: HashingEncoder) -> Pieces:
        return Pieces(self.store, encoder, signer=SIGNER, verifier=VERIFIER)

    def load(self, state: FileState) -> bytes:
        if state.document not in self.files:
            raise FileChanged(state.document)
        return self.files[state.document]

    def file(self, document: str, content: bytes = CONTENT) -> FileState:
        self.files[document] = content
        return FileState(document, hashlib.sha256(content).hexdigest(), len(content))

    def worker(self, encoder: HashingEncoder | None = None) -> BuildWorker:
        pieces = self.pieces_of(encoder or self.encoder)
        sources = Sources(pieces)
        return BuildWorker(
            pieces, sources, ReaderHere(sources.load), encoder or self.encoder, self.bus, name="w"
        )

    def offered(self) -> BuildTask:
        until(lambda: self.offers.offered)
        return self.offers.offered[-1]

    def left(self) -> list[str]:
        return list(self.store.list("tenants/default/kb/default/building/"))

    def counted(self, outcome: str) -> bool:
        line = f'kotaemon_coordinator_pieces_total{{outcome="{outcome}"}} 1.0'
        return line in self.metrics.exposition().decode()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.shared.close()


def same(found: Ingested | None, content: bytes = CONTENT) -> bool:
    expected = ingest("a.md", content)
    assert found is not None
    return (found.text, found.passages) == (expected.text, expected.passages)


def test_a_worker_makes_the_piece_and_the_leader_uses_and_removes_it(shop: Shop) -> None:
    begun = shop.shared.begin("default", shop.file("a.md"))
    shop.worker().work(shop.offered())
    found = begun.result(timeout=PATIENCE_S)
    assert same(found)
    assert found is not None
    assert found.vectors is not None
    expected = shop.encoder.encode_passages([f"Lamps\n{found.passages[0].text}"])
    assert np.array_equal(found.vectors["all"].vectors[0], expected["all"].vectors[0])
    assert found.vectors["all"].positions.tolist() == [0, 1]
    assert shop.here.read == []
    assert shop.counted("used")
    assert len(shop.left()) == 2
    shop.shared.published("default", [found])
    until(lambda: not shop.left())


def test_a_refusal_is_a_piece_too(shop: Shop) -> None:
    begun = shop.shared.begin("default", shop.file("a.md", b" "))
    shop.worker().work(shop.offered())
    found = begun.result(timeout=PATIENCE_S)
    assert found is not None
    assert found.reason == "there is no text in it"
    assert shop.here.read == []


def test_a_piece_of_which_nobody_tells_is_found(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.workers.sharing._LOOK_S", 0.1)
    shop.bus.silent = True
    begun = shop.shared.begin("default", shop.file("a.md"))
    shop.worker().work(shop.offered())
    assert same(begun.result(timeout=PATIENCE_S))


def test_a_restarted_leader_finds_the_piece_and_asks_nobody(shop: Shop, tmp_path: Path) -> None:
    state = shop.file("a.md")
    task = shop.pieces.task("default", "default", state)
    shop.pieces.put_source(task, CONTENT)
    shop.worker().work(task)
    assert same(shop.shared.begin("default", state).result(timeout=PATIENCE_S))
    assert shop.offers.offered == []


def test_a_task_that_comes_twice_is_done_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.shared.begin("default", shop.file("a.md"))
    task, worker = shop.offered(), shop.worker()
    worker.work(task)
    monkeypatch.setattr(worker, "_read", lambda task: pytest.fail("read again"))
    worker.work(task)
    assert len(shop.bus.told) == 2


def test_without_a_worker_the_leader_reads_itself(shop: Shop) -> None:
    shop.offers.there = 0
    assert same(shop.shared.begin("default", shop.file("a.md")).result(timeout=PATIENCE_S))
    assert shop.offers.offered == []
    assert shop.left() == []


def test_workers_that_go_leave_their_documents_to_the_leader(shop: Shop) -> None:
    begun = shop.shared.begin("default", shop.file("a.md"))
    shop.offered()
    assert not begun.done()
    shop.offers.there = 0
    assert same(begun.result(timeout=PATIENCE_S))
    assert shop.counted("late")


def test_a_worker_that_takes_too_long_is_not_waited_for(tmp_path: Path) -> None:
    shop = Shop(tmp_path, bounds=Bounds(wall_s=0.1))
    assert same(shop.shared.begin("default", shop.file("a.md")).result(timeout=PATIENCE_S))
    assert shop.counted("late")
    shop.shared.close()


def test_a_bus_that_is_away_leaves_the_document_to_the_leader(shop: Shop) -> None:
    shop.offers.away = True
    assert same(shop.shared.begin("default", shop.file("a.md")).result(timeout=PATIENCE_S))
    assert shop.counted("not_offered")


def test_the_leader_reads_the_first_itself(shop: Shop) -> None:
    shop.here.room = 1
    assert same(shop.shared.begin("default", shop.file("a.md")).result(timeout=PATIENCE_S))
    assert shop.here.read == ["a.md"]


def test_a_worker_with_another_encoder_makes_nothing_and_says_so(shop: Shop) -> None:
    begun = shop.shared.begin("default", shop.file("a.md"))
    shop.worker(HashingEncoder("other", dimension=32)).work(shop.offered())
    assert [name for name in shop.left() if name.endswith(".piece")] == []
    assert same(begun.result(timeout=PATIENCE_S))
    assert shop.counted("declined")


@pytest.mark.parametrize("damage", ["bits", "stranger", "unsigned"])
def test_a_piece_that_none_of_us_has_made_is_not_used(shop: Shop, damage: str) -> None:
    state = shop.file("a.md")
    task = shop.pieces.task("default", "default", state)
    shop.pieces.put_source(task, CONTENT)
    shop.worker().work(task)
    raw = shop.store.get(task.piece)
    assert raw is not None
    shop.store.delete(task.piece)
    if damage == "bits":
        raw = raw[:-1] + bytes([raw[-1] ^ 1])
    elif damage == "unsigned":
        raw = raw.partition(b"\n")[2]
    else:
        stranger = Ed25519Signer.of_seed(b"s" * 32)
        pieces = Pieces(shop.store, shop.encoder, signer=stranger, verifier=VERIFIER)
        pieces.put(task, ingest("a.md", b"A lie."))
        raw = shop.store.get(task.piece)
        assert raw is not None
    shop.store.put_if_absent(task.piece, raw)
    with pytest.raises(CorruptArtifact):
        shop.pieces.get(task)
    assert same(shop.shared.begin("default", state).result(timeout=PATIENCE_S))
    assert shop.here.read == ["a.md"]


def test_what_nobody_used_is_swept_when_nothing_is_to_be_read(shop: Shop) -> None:
    task = shop.pieces.task("default", "default", shop.file("a.md"))
    shop.pieces.put_source(task, CONTENT)
    shop.worker().work(task)
    shop.shared.idle("default")
    until(lambda: not shop.left())
