"""Measures searching, opening and changing a knowledge base of a million passages.

    python -m load.bench.million --data FOLDER --models .models --out load/results/million \
        [--rows 1000000] [--work FOLDER] [--questions 500] [--changes 20] [--without-cluster]

One process builds, and another, on one core, does what a pod does: it opens the generation, answers
questions, and comes to generations that have one more document. Then a whole cluster begins with
this knowledge, and documents are dropped into its folder (``million_cluster``). What was built
stays in ``--work`` and is used again. ``million_corpus`` tells of what it is made. The vectors are
those of one model in 384 dimensions, for both languages: all passages lie in the space searched.
"""

import argparse
import gc
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import structlog

from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.signing import Ed25519Signer, TrustedKeys
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.domain.artifact_names import manifest_name
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.retrieval.manifests import ManifestReader
from load import surroundings
from load.bench.million_build import KB, Site
from load.bench.million_cluster import measure_cluster
from load.bench.million_corpus import source_of
from load.bench.million_pod import Pod, measure_searches, on_one_core, own_bytes
from load.bench.million_report import report, within_goal
from load.kept import keep, progress

_MODEL = "all-MiniLM-L6-v2"
_SIGNER = Ed25519Signer.of_seed(b"kotaemon load: what all may know")
_VERIFIER = TrustedKeys([_SIGNER.public_key])


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for, as it is handed from process to process."""

    data: Path
    models: Path
    work: Path
    rows: int
    questions: int
    changes: int

    @property
    def folder(self) -> Path:
        """Where the knowledge base of this size lies."""
        return self.work / f"rows-{self.rows}"

    def encoder(self) -> Encoder:
        """Return the encoder, on one thread."""
        return make_encoder(_MODEL, "onnx", self.models, 1)

    def site(self, encoder: Encoder) -> Site:
        """Return what writes into the artifact store."""
        return Site(
            FileArtifactStore(self.folder / "artifacts"),
            source_of(self.data, encoder, self.work),
            encoder=encoder,
            signer=_SIGNER,
            form=FaissSegmentFormat(),
            scratch=self.folder / "scratch",
            knowledge=self.folder / "knowledge",
        )


def build(plan: Plan) -> None:
    """Write the knowledge base, unless it is there; what it took is kept beside it."""
    told = plan.folder / "built.json"
    if told.exists() and (plan.folder / "knowledge").exists():
        return
    shutil.rmtree(plan.folder)
    plan.folder.mkdir()
    encoder = plan.encoder()
    built = plan.site(encoder).build(plan.rows)
    found = {
        **{name: value for name, value in asdict(built).items() if name not in ("manifest", "ref")},
        "segments": [asdict(entry) for entry in built.manifest.segments],
        "documents": len(built.manifest.documents),
        "digest": built.ref.digest,
    }
    told.write_bytes(orjson.dumps(found))


def measure(plan: Plan) -> dict[str, Any]:
    """Do what a pod does, on one core; return the figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    on_one_core()
    built = orjson.loads((plan.folder / "built.json").read_bytes())
    encoder = plan.encoder()
    site = plan.site(encoder)
    encoder.encode_queries(["The first one takes longer.", "第一个需要更长时间。"])
    # No pod has the texts that knowledge is made of: its collector need not look through them.
    gc.freeze()
    name = manifest_name(DEFAULT_TENANT, KB, 1)
    ref = GenerationRef(KB, 1, built["digest"], name)
    pod = Pod(site.store, encoder, _VERIFIER, machine=plan.folder)
    before_bytes = own_bytes()
    opened = pod.come_to(ref)
    own = own_bytes() - before_bytes
    again = Pod(site.store, encoder, _VERIFIER, machine=plan.folder).come_to(ref)
    searches = measure_searches(pod, KB, site.source, plan.questions)
    changes = _changes(plan, site, pod)
    return {
        "built": built,
        "opened": opened,
        "opened_again": again,
        "own_bytes": own,
        "searches": searches,
        "changes": changes,
    }


def _changes(plan: Plan, site: Site, pod: Pod) -> list[dict[str, float]]:
    """Come to generations of one more document; the last figures are of the whole way."""
    reader = ManifestReader(site.store, _VERIFIER, tenant=DEFAULT_TENANT)
    before = reader.read(KB, 1)
    if before is None:
        raise RuntimeError("there is no generation to change")
    # Entries that a coordinator has had in its hands are written as they were.
    before.to_json()
    taken: list[dict[str, float]] = []
    first = plan.rows + time.time_ns() % 10**6
    try:
        for number in range(first, first + plan.changes):
            manifest = site.followed(before, number)
            began_s = time.perf_counter()
            ref = site.publish(manifest)
            published_s = time.perf_counter() - began_s
            took = pod.come_to(ref)
            taken.append({**took, "published_s": published_s})
            before = manifest
    finally:
        for number in range(2, plan.changes + 2):
            site.store.delete(manifest_name(DEFAULT_TENANT, KB, number))
    return taken


def measure_in_cluster(plan: Plan) -> dict[str, Any]:
    """Have a whole cluster do it; return the figures."""
    site = plan.site(plan.encoder())
    manifest = ManifestReader(site.store, _VERIFIER, tenant=DEFAULT_TENANT).read(KB, 1)
    if manifest is None:
        raise RuntimeError("there is no generation to begin with")
    data = Path(tempfile.mkdtemp(prefix="cluster-", dir=plan.folder))
    try:
        return measure_cluster(
            manifest,
            site.store,
            plan.folder / "knowledge",
            data,
            questions=site.source.questions[: plan.questions],
            changes=plan.changes,
            environment={"ENCODER_MODEL": _MODEL, "MODEL_DIR": str(plan.models.absolute())},
        )
    finally:
        shutil.rmtree(data)


def _apart(work: Any, plan: Plan) -> Any:
    """Run ``work`` in a process of its own, so that its memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (plan,))


def main() -> int:
    """Run as asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="this, .json and .md")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "kn-million")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--without-cluster", action="store_true")
    parser.add_argument("--cluster-alone", action="store_true", help="print, keep nothing")
    asked = parser.parse_args()
    plan = Plan(asked.data, asked.models, asked.work, asked.rows, asked.questions, asked.changes)
    plan.folder.mkdir(parents=True, exist_ok=True)
    progress(f"building {plan.rows} passages, or using what is there")
    _apart(build, plan)
    if asked.cluster_alone:
        print(orjson.dumps(_apart(measure_in_cluster, plan), option=orjson.OPT_INDENT_2).decode())
        return 0
    progress("one pod on one core")
    found = {
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "busy": os.getloadavg()[0],
        "rows": plan.rows,
        **_apart(measure, plan),
        "cluster": None if asked.without_cluster else _apart(measure_in_cluster, plan),
    }
    text = report(found)
    keep(asked.out, found, text)
    print(text)
    return 0 if within_goal(found) else 1


if __name__ == "__main__":
    sys.exit(main())
