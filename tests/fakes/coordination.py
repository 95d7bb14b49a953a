"""A coordinator composed for tests: real folder, store and segments, the rest in memory."""

from collections.abc import Mapping
from pathlib import Path

from coordinator.audit import Audit
from coordinator.build import Builder
from coordinator.catalog import Catalog
from coordinator.folder import KnowledgeFolder
from coordinator.leader import Lease
from coordinator.merge_process import Merge, merge_in_child
from coordinator.merges import Beside, in_thread
from coordinator.metrics import CoordinatorMetrics
from coordinator.publish import Publisher
from coordinator.reading.reader import Reader
from coordinator.retention import Retention
from coordinator.status import StatusBoard
from coordinator.wiring import make_loop
from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system.tasks import ThreadTasks
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import segment_file_name, text_name
from kotaemon_node.domain.knowledge import Manifest, Passage
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.traces import NO_TRACES, Traces
from kotaemon_node.ports.vectors import VectorStore
from tests.fakes.acts import Acts
from tests.fakes.encoder import HashingEncoder
from tests.fakes.jobs import MemoryJobs
from tests.fakes.knowledge_ports import (
    CountedIds,
    HandClock,
    MemoryBus,
    MemoryLeadership,
    MemoryPointer,
)
from tests.fakes.reading import ReaderHere
from tests.fakes.signing import SIGNER, VERIFIER

TENANT = "default"


class World:
    """What coordinators share: the folder, the store, and what stands for Redis."""

    def __init__(self, root: Path) -> None:
        self.knowledge = root / "knowledge"
        self.knowledge.mkdir()
        self.clock = HandClock()
        self.store: ArtifactStore = FileArtifactStore(root / "artifacts")
        self.pointer = MemoryPointer()
        self.leadership = MemoryLeadership(self.clock)
        self.bus = MemoryBus()
        self.jobs = MemoryJobs()
        self.ids = CountedIds()
        self.acts = Acts()

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files into the knowledge folder."""
        for name, content in files.items():
            path = self.knowledge / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def manifest(self, kb: str = "default") -> Manifest:
        """Return the newest manifest."""
        newest = Catalog(self.store, VERIFIER, tenant=TENANT).newest(kb).manifest
        assert newest is not None
        return newest

    def passages(self, kb: str = "default") -> list[Passage]:
        """Return the passages that a pod would find, from the files of the newest generation."""
        manifest = self.manifest(kb)
        home = {entry.document: entry.segment for entry in manifest.documents}
        found: list[Passage] = []
        for entry in manifest.segments:
            paths = {
                file: self.store.open_local(segment_file_name(TENANT, kb, entry.name, file))
                for file in entry.files
            }
            segment = FaissSegmentFormat().open(paths, entry)
            found += [
                segment.passage(row)
                for row, document in enumerate(segment.documents)
                if home.get(document) == entry.name
            ]
        for passage in found:
            entry_of = next(it for it in manifest.documents if it.document == passage.document)
            assert entry_of.text is not None
            text = self.store.get(text_name(TENANT, kb, entry_of.text))
            assert text is not None
            assert text.decode()[slice(*passage.span)] == passage.text
        return sorted(found, key=lambda it: (it.document, it.span))

    def texts(self, kb: str = "default") -> list[str]:
        """Return the texts of the passages that a pod would find."""
        return [passage.text for passage in self.passages(kb)]


class SteppedCoordinator:
    """One coordinator of a world, stepped by hand."""

    def __init__(
        self,
        world: World,
        *,
        name: str = "a",
        encoder: Encoder | None = None,
        tolerance: float = 0.0,
        vector_store: VectorStore | None = None,
        merge: Merge = merge_in_child,
        beside: Beside = in_thread,
        reader: Reader | None = None,
        traces: Traces = NO_TRACES,
    ) -> None:
        self.world = world
        self.board = StatusBoard()
        self.encoder = encoder or HashingEncoder()
        self.catalog = Catalog(world.store, VERIFIER, tenant=TENANT)
        self.lease = Lease(world.leadership, clock=world.clock, holder=name)
        self.metrics = CoordinatorMetrics()
        audit = Audit(store=world.store, catalog=self.catalog, clock=world.clock, tenant=TENANT)
        folder = KnowledgeFolder(world.knowledge, clock=world.clock)
        self.publisher = Publisher(
            store=world.store,
            signer=SIGNER,
            audit=audit,
            pointer=world.pointer,
            bus=world.bus,
            clock=world.clock,
            ids=world.ids,
            tenant=TENANT,
            acts=world.acts,
        )
        self.retention = Retention(
            store=world.store,
            catalog=self.catalog,
            clock=world.clock,
            tenant=TENANT,
            session_life_s=48 * 3600,
        )
        self.builder = Builder(
            encoder=self.encoder,
            segment_format=FaissSegmentFormat(),
            store=world.store,
            clock=world.clock,
            tenant=TENANT,
        )
        self.loop = make_loop(
            folder=folder,
            reader=reader or ReaderHere(folder.read),
            store=world.store,
            catalog=self.catalog,
            audit=audit,
            builder=self.builder,
            publisher=self.publisher,
            retention=self.retention,
            pointer=world.pointer,
            lease=self.lease,
            jobs=world.jobs,
            encoder=self.encoder,
            segment_format=FaissSegmentFormat(),
            signer=SIGNER,
            verifier=VERIFIER,
            gate_tolerance=tolerance,
            board=self.board,
            metrics=self.metrics,
            tasks=ThreadTasks(native_threads=1),
            clock=world.clock,
            tenant=TENANT,
            vector_store=vector_store,
            merge=merge,
            beside=beside,
            traces=traces,
        )

    def settle(self, *, steps: int = 3) -> None:
        """Renew the lead and take steps until files that were just written have been read."""
        for _ in range(steps):
            self.lease.renew()
            self.loop.guarded_step()
            self.world.clock.sleep(limits.FILE_STABLE_S)
