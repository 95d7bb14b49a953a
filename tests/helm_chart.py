"""Renders helm/kotaemon with the machine's Helm, each set of values once in a process."""

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "helm" / "kotaemon"
# Of the chart's own promise, and the newest of which schemas are at hand.
OLDEST, NEWEST = "1.28", "1.37"
RELEASE = "shop"
F = "shop-kotaemon"
NAMESPACE = "shops"

PRESETS = sorted(CHART.glob("presets/*.yaml"))
EXAMPLES = sorted(CHART.glob("ci/*-values.yaml"))
Object = dict[str, Any]


@lru_cache
def helm() -> str:
    """Return the path of a Helm; `make install` has got one."""
    asked = subprocess.run(
        ["sh", "scripts/helm.sh"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return asked.stdout.strip()


@lru_cache
def _template(files: tuple[Path, ...], sets: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    options = [f"--values={path}" for path in files] + [f"--set-json={text}" for text in sets]
    return subprocess.run(
        [
            *(helm(), "template", RELEASE, str(CHART), "--namespace", NAMESPACE),
            *("--kube-version", f"{OLDEST}.0", *options),
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def objects(text: str) -> list[Object]:
    """Return the objects of a manifest."""
    # The parser in C takes a tenth of the time.
    return [found for found in yaml.load_all(text, yaml.CSafeLoader) if found]


def rendered(*files: Path, sets: Iterable[str] = ()) -> list[Object]:
    """Return the objects that these values make, not to be changed; ``sets`` are ``path=JSON``."""
    return _rendered(files, tuple(sets))


@lru_cache
def _rendered(files: tuple[Path, ...], sets: tuple[str, ...]) -> list[Object]:
    done = _template(files, sets)
    assert done.returncode == 0, done.stderr
    return objects(done.stdout)


def refusal(*sets: str, file: Path | None = None) -> str:
    """Return what Helm says against these values; it has to refuse them."""
    done = _template((file,) if file else (), sets)
    assert done.returncode != 0, f"{sets} are taken"
    return done.stderr


def one(made: Iterable[Object], kind: str, name: str) -> Object:
    """Return the only object of this kind and name."""
    found = [it for it in made if it["kind"] == kind and it["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def kinds(made: Iterable[Object], kind: str) -> list[str]:
    """Return the names of all objects of a kind, in order."""
    return sorted(it["metadata"]["name"] for it in made if it["kind"] == kind)


def pods(made: Iterable[Object]) -> Iterator[tuple[str, Object]]:
    """Yield the spec of each kind of pod, with its name."""
    for it in made:
        name = f"{it['kind']} {it['metadata']['name']}"
        match it["kind"]:
            case "Pod":
                yield name, it["spec"]
            case "Deployment" | "StatefulSet":
                yield name, it["spec"]["template"]["spec"]
            case "CronJob":
                yield name, it["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def containers(spec: Object) -> list[Object]:
    """Return all containers of a pod, those of its start among them."""
    return [*spec.get("initContainers", ()), *spec["containers"]]


def environment(container: Object) -> Mapping[str, Any]:
    """Return name → value, or where it comes from; each name stands there once."""
    entries = container.get("env", [])
    found = {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in entries}
    assert len(found) == len(entries), [entry["name"] for entry in entries]
    return found


def files_of(made: Iterable[Object], name: str) -> Mapping[str, str]:
    """Return the files of a ConfigMap."""
    data: Mapping[str, str] = one(made, "ConfigMap", name)["data"]
    return data
