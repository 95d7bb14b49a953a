"""What is shipped: the wheel is whole, and everything that says a version says the same one."""

import re
import subprocess
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml

from kotaemon_node import __version__
from tests.wheel import ROOT, build

SAMPLE = ("knowledge", "plugins", "shop")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build(tmp_path_factory.mktemp("wheel")))


def below(folder: Path) -> set[str]:
    """Return the files of a folder as they are named from the root."""
    return {
        str(path.relative_to(ROOT))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_it_has_every_file_of_both_programs_and_of_the_sample_shop(
    wheel: zipfile.ZipFile,
) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    sample = set().union(*(below(ROOT / "sample" / name) for name in SAMPLE))

    wanted = below(ROOT / "kotaemon_node") | below(ROOT / "coordinator")
    assert held == wanted | {f"kotaemon_node/{name}" for name in sample}
    # Each kind that a start would fail without, by name: the comparison alone may be of nothing.
    for name in (
        *("adapters/redis/lua/claim.lua", "local/haproxy.cfg.tmpl", "local/first_check.lua"),
        *("web/index.html", "rpc/kotaemon.proto", "plugins/template/plugin.py.txt"),
        *("adapters/encoder/probes.json", "py.typed", "sample/shop/orders.json"),
    ):
        assert f"kotaemon_node/{name}" in held


def test_its_description_names_version_licence_and_command(wheel: zipfile.ZipFile) -> None:
    about = f"kotaemon_cluster-{__version__}.dist-info"
    said = Parser().parsestr(wheel.read(f"{about}/METADATA").decode())

    assert said["Version"] == __version__
    assert said["License-Expression"] == "Apache-2.0"
    assert {f"{about}/licenses/LICENSE", f"{about}/licenses/NOTICE"} <= set(wheel.namelist())
    assert (
        "kotaemon = kotaemon_node.cli.main:app" in wheel.read(f"{about}/entry_points.txt").decode()
    )
    plain = [need for need in said.get_all("Requires-Dist") or () if "extra ==" not in need]
    assert plain
    assert not [need for need in plain if re.match("(torch|sentence-transformers|boto3)", need)]


def test_chart_compose_and_pages_say_the_same_version() -> None:
    chart = yaml.safe_load((ROOT / "helm/kotaemon/Chart.yaml").read_text("utf-8"))
    assert chart["appVersion"] == __version__
    named = {
        path: set(re.findall(r"kotaemon-cluster:(\d[\w.+-]*\w)", (ROOT / path).read_text("utf-8")))
        for path in (
            *("deploy/Dockerfile", "deploy/compose/compose.yaml", "deploy/compose/.env.example"),
            *("helm/kotaemon/Chart.yaml", "deploy/k8s/worker.yaml", "docs/how-to/image.md"),
        )
    }
    assert named == {path: {__version__} for path in named}
    assert re.search(rf"^## ({re.escape(__version__)}|Unreleased)", changelog(), re.M)


def changelog() -> str:
    return (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.fixture
def tagged(tmp_path: Path) -> Path:
    """Return a repository of version 1.2.0, with one commit."""
    (tmp_path / "kotaemon_node").mkdir()
    (tmp_path / "kotaemon_node" / "__init__.py").write_text('__version__ = "1.2.0"\n')
    for arguments in (
        ("init", "--quiet"),
        ("add", "."),
        ("-c", "user.name=n", "-c", "user.email=n@localhost", "commit", "--quiet", "-m", "first"),
    ):
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True)
    return tmp_path


def checked(repository: Path) -> subprocess.CompletedProcess[str]:
    """Return what ``version.sh`` says of the newest commit."""
    script = (
        f". {ROOT}/scripts/steps.sh && . {ROOT}/scripts/version.sh"
        ' && version=$(version_in .) && check_tag "$version" HEAD && echo "$version"'
    )
    return subprocess.run(
        ["sh", "-c", script], cwd=repository, capture_output=True, text=True, check=False
    )


def test_what_is_made_of_a_tag_has_its_version(tagged: Path) -> None:
    assert checked(tagged).stdout == "1.2.0\n"
    subprocess.run(["git", "-C", tagged, "tag", "v1.2.0"], check=True)
    assert checked(tagged).stdout == "1.2.0\n"


def test_a_tag_of_another_version_is_refused(tagged: Path) -> None:
    subprocess.run(["git", "-C", tagged, "tag", "v1.3.0"], check=True)

    refused = checked(tagged)

    assert refused.returncode != 0
    assert "set __version__ in kotaemon_node/__init__.py to 1.3.0" in refused.stderr
