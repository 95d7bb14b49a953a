"""What a running cluster does with a large knowledge base: start, serve one more document, answer.

Its artifact store begins with the generation that ``million_build`` wrote, signed by the cluster's
own key; its knowledge folder has the files of those documents. So nothing has to be read anew, and
what is measured is what a year-old cluster does. Files are linked, not copied.
"""

import os
import random
import string
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import psutil
import requests

from kotaemon_node.adapters.signing import Ed25519Signer, read_signing_key
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.domain.artifact_names import manifest_name, segment_file_name, text_name
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.knowledge import Manifest
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.local.signing import settle
from kotaemon_node.retrieval.manifests import signed
from kotaemon_node.settings import Settings
from load.bench.million_build import KB
from load.kept import progress
from tests.cluster import Cluster

WORKERS = 3
_POLL_S = 0.02
_START_S = 600.0
_SERVED_WITHIN_S = 120.0
_TIMEOUT_S = 60.0
# Those that were dropped before lie near it.
_TOP_K = 20
_NEW = Path(KB) / "new"
_LEAVES_ROOM_S = 0.5


def seed(manifest: Manifest, built: FileArtifactStore, knowledge: Path, data: Path) -> None:
    """Put the generation into the artifact store of the cluster in the empty folder ``data``."""
    folder = DataFolder(data)
    folder.prepare()
    key = settle(folder, Settings(signing_key_file=None, trusted_keys=""))["SIGNING_KEY_FILE"]
    signer: Ed25519Signer = read_signing_key(Path(key))
    for entry in manifest.segments:
        for file in entry.files:
            name = segment_file_name(DEFAULT_TENANT, KB, entry.name, file)
            _link(built.open_local(name), folder.artifacts / name)
    for document in manifest.documents:
        if document.text is not None:
            # Of plain text the canonical text is the file.
            name = text_name(DEFAULT_TENANT, KB, document.text)
            _link(knowledge / document.document, folder.artifacts / name)
    name = manifest_name(DEFAULT_TENANT, KB, manifest.generation)
    FileArtifactStore(folder.artifacts).put_if_absent(name, signed(manifest, signer))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    os.link(source, target)


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods of a cluster, asked at their own ports."""

    urls: Mapping[str, str]

    def generation(self, name: str) -> int:
        """Return the generation that a pod serves; 0 for none, or where it does not answer."""
        try:
            shown = requests.get(f"{self.urls[name]}/readyz", timeout=_TIMEOUT_S).json()
            return int(shown["generations"][KB])
        except (requests.RequestException, KeyError, ValueError):
            return 0

    def finds(self, name: str, word: str, document: str) -> bool:
        """Tell whether a pod answers a search for ``word`` from ``document`` now."""
        found = requests.get(
            f"{self.urls[name]}/v1/search",
            params={"q": word, "kb": KB, "top_k": str(_TOP_K)},
            timeout=_TIMEOUT_S,
        )
        return found.ok and document in [hit["document"] for hit in found.json()["passages"]]


def measure_cluster(
    manifest: Manifest,
    built: FileArtifactStore,
    knowledge: Path,
    data: Path,
    *,
    questions: Sequence[str],
    changes: int,
    environment: Mapping[str, str],
) -> dict[str, Any]:
    """Run a cluster of ``WORKERS`` pods on it; return the figures. ``data`` has to be empty."""
    began_s = time.perf_counter()
    for left in (knowledge / _NEW).glob("*"):
        left.unlink()
    seed(manifest, built, knowledge, data)
    progress(f"seeded in {time.perf_counter() - began_s:.0f} s; starting the cluster")
    cluster = Cluster(data, workers=WORKERS, knowledge=knowledge, environment=environment)
    began_s = time.perf_counter()
    try:
        cluster.up()
        rows = {row["name"]: row for row in cluster.ps()}
        pods = Pods({name: f"http://127.0.0.1:{rows[name]['port']}" for name in cluster.workers()})
        _until(lambda: all(map(pods.generation, pods.urls)), "every pod serves it", _START_S)
        served_s = time.perf_counter() - began_s
        progress(f"every pod serves it after {served_s:.1f} s")
        coordinator = f"http://127.0.0.1:{rows['coordinator']['port']}"
        _until(lambda: _knows(coordinator, manifest), "the coordinator knows all files", _START_S)
        known_s = time.perf_counter() - began_s
        progress(f"the coordinator knows the folder after {known_s:.1f} s")
        memory_before = _memory(rows)
        searches = _searches(next(iter(pods.urls.values())), questions)
        found = []
        for number in range(changes):
            found.append(_change(cluster, pods, knowledge, number))
            progress(f"change {number + 1} of {changes}: {found[-1]['found_s']:.2f} s")
            time.sleep(_LEAVES_ROOM_S + number % 7 / 7)
        return {
            "workers": WORKERS,
            "served_s": served_s,
            "known_s": known_s,
            "searches": searches,
            "changes": found,
            "memory_before": memory_before,
            "memory": _memory(rows),
            "log": _published(cluster),
        }
    finally:
        cluster.down()
        for left in (knowledge / _NEW).glob("*"):
            left.unlink()


def _knows(coordinator: str, manifest: Manifest) -> bool:
    """Tell whether the coordinator has looked at all files; it must not have published anything."""
    try:
        answer = requests.get(f"{coordinator}/readyz", timeout=_TIMEOUT_S)
        known = answer.json()["knowledge"][KB]
    except (requests.RequestException, KeyError, ValueError):
        return False
    if known["generation"] != manifest.generation:
        raise RuntimeError(f"the coordinator made generation {known['generation']} of nothing new")
    return bool(answer.ok)


def _change(cluster: Cluster, pods: Pods, knowledge: Path, number: int) -> dict[str, float]:
    """Drop a document into the folder; return when it was published and found (s, by pod)."""
    chance = random.Random(time.time_ns())
    word = "".join(chance.choices(string.ascii_lowercase, k=12))
    document = f"{_NEW.as_posix()}/notice-{word}.md"
    target = knowledge / document
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{word}")
    draft.write_text(f"# The {word}\n\n{number} of {word} are kept here.\n", "utf-8")
    manifests = (cluster.folder.artifacts / manifest_name(DEFAULT_TENANT, KB, 1)).parent
    before = set(manifests.iterdir())
    pids = cluster.pids([*pods.urls, "coordinator"])
    moments: dict[str, float] = {}

    def waits(condition: Callable[[], bool], moment: str) -> None:
        _until(condition, f"{moment} of {document}", _SERVED_WITHIN_S)
        moments[moment] = time.perf_counter() - began_s

    def follow(name: str, served: int) -> None:
        # Who asks all the time takes from what is measured.
        waits(lambda: "published" in moments, f"{name} may ask")
        waits(lambda: pods.generation(name) > served, f"{name} served")
        waits(lambda: pods.finds(name, word, document), f"{name} found")

    threads = [
        threading.Thread(target=follow, args=(name, pods.generation(name))) for name in pods.urls
    ]
    computed_s = _computed(pids)
    began_s = time.perf_counter()
    draft.rename(target)
    for thread in threads:
        thread.start()
    waits(lambda: bool(set(manifests.iterdir()) - before), "published")
    for thread in threads:
        thread.join()
    if any(f"{name} found" not in moments for name in pods.urls):
        raise RuntimeError(f"{document} is not found: {moments}\n{cluster.logs()}")
    took_s = {name: now - computed_s[name] for name, now in _computed(pids).items()}
    return {
        "coordinator_cpu_s": took_s["coordinator"],
        "pod_cpu_s": sum(took_s[name] for name in pods.urls) / len(pods.urls),
        "published_s": moments["published"],
        "served_s": max(moments[f"{name} served"] for name in pods.urls),
        "found_s": max(moments[f"{name} found"] for name in pods.urls),
        **moments,
    }


def _computed(pids: Mapping[str, int]) -> dict[str, float]:
    """Return what processes have computed until now (s)."""
    times = {name: psutil.Process(pid).cpu_times() for name, pid in pids.items()}
    return {name: it.user + it.system for name, it in times.items()}


def _searches(url: str, questions: Sequence[str]) -> dict[str, float]:
    """Ask one pod over HTTP, one question after the other; the second round counts (ms)."""
    client = requests.Session()
    for _ in range(2):
        taken = []
        for question in questions:
            began_s = time.perf_counter()
            answer = client.get(
                f"{url}/v1/search", params={"q": question, "kb": KB}, timeout=_TIMEOUT_S
            )
            answer.raise_for_status()
            taken.append((time.perf_counter() - began_s) * 1e3)
    found = {f"p{at}": float(np.percentile(taken, at)) for at in (50, 95, 99)}
    return {**found, "max": max(taken), "questions": len(taken)}


def _memory(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Return what the coordinator and each pod hold (bytes): shared pages by their share, own."""
    found = {}
    for name, row in rows.items():
        if name == "coordinator" or row["role"] == "worker":
            lines = Path(f"/proc/{row['pid']}/smaps_rollup").read_text("ascii").splitlines()
            sizes = {it[0]: int(it[1]) * 1024 for it in map(str.split, lines) if it[0][-1] == ":"}
            found[name] = {"pss": sizes["Pss:"], "own": sizes["Pss_Anon:"]}
    return found


def _published(cluster: Cluster) -> list[dict[str, Any]]:
    """Return what the coordinator noted of the generations that it published."""
    lines = [line for line in cluster.log("coordinator").splitlines() if line.startswith("{")]
    told = [it for it in map(orjson.loads, lines) if it.get("event") == "generation_published"]
    made = [
        {at: it[at] for at in ("read", "segments", "duration_s")} for it in told if it["kb"] == KB
    ]
    if any(it["read"] != 1 for it in made):
        raise RuntimeError(f"more was read than what was new: {made}")
    return made


def _until(condition: Callable[[], bool], what: str, timeout_s: float) -> None:
    until_s = time.perf_counter() + timeout_s
    while not condition():
        if time.perf_counter() > until_s:
            raise RuntimeError(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(_POLL_S)
