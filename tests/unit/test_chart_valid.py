"""Each preset and example of the chart is what Kubernetes takes, in every version supported."""

import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils

from scripts import chart_files
from tests.helm_chart import (
    CHART,
    EXAMPLES,
    NEWEST,
    OLDEST,
    PRESETS,
    F,
    Object,
    files_of,
    helm,
    objects,
    rendered,
)

# Objects of others, whose schemas Kubernetes does not have.
OTHERS = {
    "Certificate",
    "ExternalSecret",
    "HTTPRoute",
    "PrometheusRule",
    "ScaledObject",
    "ServiceMonitor",
}


@pytest.fixture(autouse=True)
def schemas_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library reads megabytes of definitions for every object."""
    for name in ("schema_contents", "all_versions"):
        monkeypatch.setattr(utils, name, lru_cache(getattr(utils, name)))


def everything() -> dict[str, list[Object]]:
    """Return what each file of values makes, and what the defaults make."""
    files: list[tuple[Path, ...]] = [(), *((path,) for path in (*PRESETS, *EXAMPLES))]
    with ThreadPoolExecutor(max_workers=2) as both:
        made = both.map(lambda these: rendered(*these), files)
    return {
        these[0].name if these else "defaults": found
        for these, found in zip(files, made, strict=True)
    }


def problems(checked: list[Object], version: str) -> list[str]:
    found = []
    for it in checked:
        if it["kind"] in OTHERS:
            continue
        try:
            kubernetes_validate.validate(it, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{version} {it['kind']} {it['metadata']['name']}: {error}")
    return found


def test_every_preset_and_example_is_valid_for_the_oldest_and_the_newest_kubernetes() -> None:
    made = everything()
    distinct = {repr(it): it for found in made.values() for it in found}

    assert len(made) == 1 + len(PRESETS) + len(EXAMPLES) >= 8
    for version in (OLDEST, NEWEST):
        assert problems(list(distinct.values()), version) == []


def test_the_schemas_find_a_wrong_name() -> None:
    service = next(it for it in rendered() if it["kind"] == "Service")
    broken = {**service, "spec": {**service["spec"], "publishNotReadyAdresses": True}}

    assert problems([broken], OLDEST) != []
    assert problems([broken], NEWEST) != []


def test_names_are_unique_and_everything_stands_in_the_namespace_of_the_release() -> None:
    for values, made in everything().items():
        names = [(it["kind"], it["metadata"]["name"]) for it in made]
        assert len(set(names)) == len(names), values
        own = [it for it in made if it["metadata"]["name"].startswith(F)]
        assert {it["metadata"].get("namespace") for it in own} == {"shops"}, values


def test_helm_finds_nothing_against_the_chart() -> None:
    done = subprocess.run(
        [helm(), "lint", "--strict", "--kube-version", f"{OLDEST}.0", str(CHART)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout


@pytest.mark.parametrize(
    "sets", [(), ('worker={"slots":4,"replicas":4}', "haproxy.maxConnections=200")]
)
def test_haproxy_takes_the_configuration(tmp_path: Path, sets: tuple[str, ...]) -> None:
    for name, text in files_of(rendered(sets=sets), f"{F}-haproxy").items():
        # Names of a cluster mean nothing here: each would be asked of the network's name server.
        (tmp_path / name).write_text(text.replace(".svc.cluster.local:8000", ".invalid:8000"))
    program = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    assert program is not None

    done = subprocess.run(
        [program, "-c", "-f", str(tmp_path / "haproxy.cfg")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_the_plain_manifests_are_what_the_chart_renders() -> None:
    made = chart_files.manifests(chart_files.render(helm()))
    kept = {path.name: path.read_text("utf-8") for path in chart_files.MANIFESTS.glob("*.yaml")}

    assert sorted(kept) == sorted(made)
    for name, text in made.items():
        # How objects are written differs between versions of Helm.
        assert sorted_by_name(kept[name]) == sorted_by_name(text), f"{name} is old: `make chart`"


def sorted_by_name(text: str) -> list[Object]:
    return sorted(objects(text), key=lambda it: (it["kind"], it["metadata"]["name"]))


def test_the_readme_lists_every_value_with_its_default() -> None:
    text = chart_files.README.read_text("utf-8")
    values = (CHART / "values.yaml").read_text("utf-8")

    assert chart_files.readme(text, values) == text, "run `make chart`"
    assert "| `worker.slots` | `16` |" in text


def test_every_value_is_explained_in_the_table() -> None:
    values = (CHART / "values.yaml").read_text("utf-8")
    told = {path for path, _ in chart_files.values(values)}
    # A comment explains the whole map that it stands at, unless a value inside has one as well.
    heads = {path for path in told if any(it != path and it[: len(path)] == path for it in told)}
    shown = told - heads

    unexplained = [
        ".".join(path)
        for path in ends(yaml.safe_load(values))
        if not any(path[:length] in shown for length in range(1, len(path) + 1))
    ]
    assert unexplained == [], "they have no comment in values.yaml, so the README lacks them"


def ends(values: Object, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from ends(value, (*above, name))
        else:
            yield (*above, name)


def test_the_chart_knows_every_setting() -> None:
    assert chart_files.SETTINGS.read_text("utf-8") == chart_files.settings(), "run `make chart`"
