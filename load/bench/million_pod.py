"""What a pod does with a large knowledge base: opens it, answers from it, follows its changes."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.adapters.faiss import VERIFIED, FaissSegmentFormat, VerifiedMarks
from kotaemon_node.adapters.faiss.spaces import open_space
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.adapters.system.tasks import ThreadTasks
from kotaemon_node.domain.artifact_names import segment_file_name
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.signing import Verifier
from kotaemon_node.retrieval.dense import nearest_rows
from kotaemon_node.retrieval.generation import OpenGeneration
from kotaemon_node.retrieval.library import KnowledgeLibrary
from load.bench.million_corpus import Source

K = 10
_BLOCK_ROWS = 65_536
_TICK_S = 0.001
_MS = 1e3


@dataclass
class Pointer:
    """``ports.knowledge.GenerationPointer`` of one process."""

    refs: dict[str, GenerationRef] = field(default_factory=dict)

    def current(self, tenant: str) -> Mapping[str, GenerationRef]:
        """See the port."""
        return dict(self.refs)

    def publish(self, tenant: str, ref: GenerationRef) -> bool:
        """See the port."""
        self.refs[ref.kb] = ref
        return True


class Pod:
    """The knowledge of one pod, and what coming to a generation cost it."""

    def __init__(
        self, store: FileArtifactStore, encoder: Encoder, verifier: Verifier, *, machine: Path
    ) -> None:
        """``machine`` is the folder that the pods of a machine share."""
        clock = SystemClock()
        self.store = store
        self._pointer = Pointer()
        self.library = KnowledgeLibrary(
            store=store,
            segment_format=FaissSegmentFormat(marks=VerifiedMarks(machine / VERIFIED, clock=clock)),
            verifier=verifier,
            pointer=self._pointer,
            encoder_for=lambda name: encoder,
            tasks=ThreadTasks(native_threads=2),
            clock=clock,
            tenant=DEFAULT_TENANT,
        )

    def come_to(self, ref: GenerationRef) -> dict[str, float]:
        """Serve ``ref``; return what it took: wall and CPU (s), the longest silence (ms)."""
        self._pointer.refs[ref.kb] = ref
        with ticking() as silence:
            began_s, cpu_s = time.perf_counter(), time.process_time()
            self.library.reconcile()
            took = {
                "wall_s": time.perf_counter() - began_s,
                "cpu_s": time.process_time() - cpu_s,
            }
        served = self.library.served().get(ref.kb)
        if served != ref:
            raise RuntimeError(f"{ref} is not served: {dict(self.library.refused)}")
        return {**took, "silence_ms": silence()}


@contextmanager
def ticking() -> Any:
    """Tell how long at most another thread did not come to run, beyond its sleep (ms).

    Only what this process computed meanwhile counts: the machine may be busy with others.
    """
    ended = threading.Event()
    longest = 0.0

    def tick() -> None:
        nonlocal longest
        before_s, cpu_before_s = time.perf_counter(), time.process_time()
        while not ended.is_set():
            time.sleep(_TICK_S)
            now_s, cpu_s = time.perf_counter(), time.process_time()
            longest = max(longest, min(now_s - before_s - _TICK_S, cpu_s - cpu_before_s))
            before_s, cpu_before_s = now_s, cpu_s

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield lambda: longest * _MS
    finally:
        ended.set()
        thread.join()


def own_bytes() -> int:
    """Return what this process has of memory that no file stands behind."""
    with Path("/proc/self/smaps_rollup").open(encoding="ascii") as lines:
        found = {row[0]: int(row[1]) * 1024 for row in map(str.split, lines) if row[0][-1] == ":"}
    return found["Pss_Anon:"]


def on_one_core() -> None:
    """Keep this process, and the threads that it will start, on one core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def questions_of(source: Source, many: int) -> list[tuple[str, dict[str, NDArray[np.float32]]]]:
    """Return questions and their vectors by space."""
    encoded: list[dict[str, NDArray[np.float32]]] = [{} for _ in source.questions]
    for space, rows in source.asked.items():
        for position, vector in zip(rows.positions.tolist(), rows.vectors, strict=True):
            encoded[position][space] = vector
    return list(zip(source.questions, encoded, strict=True))[:many]


def measure_searches(pod: Pod, kb: str, source: Source, many: int) -> dict[str, Any]:
    """Ask ``many`` questions, after a round that brings the files into memory."""
    questions = questions_of(source, many)
    with pod.library.pinned(kb) as searcher:
        generation: OpenGeneration = searcher._generation
        for question, encoded in questions:
            searcher.search(question, encoded=encoded)
        whole, native = _timed(questions, lambda text, at: searcher.search(text, encoded=at))
        dense, dense_cpu = _timed(questions, lambda _, at: _dense(generation, at))
        exact = _exact(pod.store, generation, questions)
        recalls = [
            float((_dense(generation, at) >= bar - 1e-6).sum()) / K
            for (_, at), bar in zip(questions, exact, strict=True)
        ]
    return {
        "questions": len(questions),
        "whole_ms": whole,
        "dense_ms": dense,
        "dense_cpu_ms": dense_cpu,
        "whole_cpu_ms": native,
        "recall_at_10": sum(recalls) / len(recalls),
        "recall_at_10_lowest": min(recalls),
    }


def _dense(
    generation: OpenGeneration, encoded: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float64]:
    (space, vector), *_ = encoded.items()
    _, products = nearest_rows(generation, space, vector, K)
    return np.sort(products)[::-1][:K]


def _exact(store: FileArtifactStore, generation: OpenGeneration, questions: Any) -> list[float]:
    """Return for each question the product of the ``K``-th nearest row, found by comparing all."""
    best = [np.full(K, -np.inf, dtype=np.float32) for _ in questions]
    spaces = sorted({space for _, at in questions for space in at})
    for entry in generation.manifest.segments:
        names = {
            file: segment_file_name(DEFAULT_TENANT, generation.ref.kb, entry.name, file)
            for file in entry.files
        }
        paths = {file: store.open_local(name) for file, name in names.items()}
        for space in spaces:
            if f"vectors.{space}.faiss" not in paths:
                continue
            held = open_space(space, paths)
            asking = [number for number, (_, at) in enumerate(questions) if space in at]
            asked = np.stack([questions[number][1][space] for number in asking])
            for start in range(0, len(held.rows), _BLOCK_ROWS):
                products = asked @ held.vectors[start : start + _BLOCK_ROWS].T
                for number, row in zip(asking, products, strict=True):
                    top = np.partition(row, max(len(row) - K, 0))[-K:]
                    best[number] = np.sort(np.concatenate([best[number], top]))[-K:]
    return [float(of[0]) for of in best]


def _timed(questions: Any, ask: Callable[[str, Any], object]) -> tuple[Any, Any]:
    walls, cpus = [], []
    for question, encoded in questions:
        began_s, cpu_s = time.perf_counter(), time.process_time()
        ask(question, encoded)
        walls.append((time.perf_counter() - began_s) * _MS)
        cpus.append((time.process_time() - cpu_s) * _MS)
    return _quantiles(walls), _quantiles(cpus)


def _quantiles(values: list[float]) -> dict[str, float]:
    """Return p50, p95, p99 and the highest."""
    found = {f"p{at}": float(np.percentile(values, at)) for at in (50, 95, 99)}
    return {**found, "max": max(values)}
