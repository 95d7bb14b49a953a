"""What is installed from the wheel runs a whole cluster, far from any checkout."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from kotaemon_node import __version__
from kotaemon_node.local.ports import choose_block
from tests.wheel import ROOT, build, install, surroundings

pytestmark = [pytest.mark.long, pytest.mark.timeout(420)]

SINGAPORE = "How long does standard delivery to Singapore take?"


class Installed:
    """The command, in a folder of its own."""

    def __init__(self, bin_folder: Path, folder: Path) -> None:
        self.command = bin_folder / "kotaemon"
        self.folder = folder
        self.environment = {**surroundings(), "XDG_CACHE_HOME": str(folder / "cache")}

    def run(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run it and return what it printed."""
        return subprocess.run(
            [self.command, *arguments],
            cwd=self.folder,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    bin_folder = install(build(folder / "dist"), folder / "environment")
    away = folder / "away"
    away.mkdir()
    return Installed(bin_folder, away)


@pytest.fixture
def weights(program: Installed) -> Iterator[Path]:
    """Put the weights where `kotaemon models fetch` would have put them."""
    place = program.folder / "cache" / "kotaemon" / "models"
    place.parent.mkdir(parents=True)
    place.symlink_to(ROOT / ".models")
    yield place
    place.unlink()


def test_it_is_the_installed_program_that_runs(program: Installed) -> None:
    assert program.run("--version").stdout == f"kotaemon {__version__}\n"
    python = program.command.with_name("python")
    where = subprocess.run(
        [python, "-c", "import kotaemon_node; print(kotaemon_node.__file__)"],
        cwd=program.folder,
        env=program.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert where.startswith(str(program.command.parents[1]))


def test_what_is_missing_is_named_with_what_to_do(program: Installed) -> None:
    bare = program.folder / "bare"
    bare.mkdir()

    without = program.run("up", "--detach", environment={"PATH": str(bare)})
    if shutil.which("haproxy", path=f"{bare}:/usr/local/sbin:/usr/sbin:/sbin") is None:
        assert "redis-server and haproxy are not installed" in without.stderr
    else:  # HAProxy is looked for in sbin as well
        assert "redis-server is not installed" in without.stderr
    assert "sudo apt-get install" in without.stderr
    unfetched = program.run("up", "--detach", "--port", str(choose_block(1)))
    assert "kotaemon models fetch" in unfetched.stderr
    assert (without.returncode, unfetched.returncode) == (2, 2)


@pytest.mark.usefixtures("weights")
def test_it_runs_a_cluster_that_answers_acts_and_shows_its_page(program: Installed) -> None:
    port = choose_block(1)
    up = program.run("up", "--detach", "--workers", "2", "--port", str(port))
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        url = f"http://127.0.0.1:{port}"
        answer = requests.get(f"{url}/ask", params={"q": SINGAPORE}, timeout=60).json()
        assert "2 to 3 working days in Singapore" in answer["answer"], answer
        assert answer["source"][0]["document"] == "shipping.md", answer
        page = requests.get(url, timeout=10)
        assert page.status_code == 200
        assert requests.get(f"{url}/openapi.json", timeout=30).json()["info"]["version"] == (
            __version__
        )
        acts = requests.post(
            f"{url}/chat",
            json={"session_id": "away", "message": "Why hasn't my order shipped?"},
            timeout=60,
        ).json()
        assert "1003" in acts["response"], acts
        rows = json.loads(program.run("ps", "--json").stdout)
        assert rows
        for row in rows:
            if row["role"] in {"worker", "coordinator", "shop"}:
                said = Path(f"/proc/{row['pid']}/cmdline").read_bytes()
                assert os.fsencode(program.command.parent) in said, row
    finally:
        down = program.run("down")
    assert down.returncode == 0, down.stderr
