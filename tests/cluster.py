"""The whole cluster, run by the command that users run, for tests that need all of it.

``cluster`` is one cluster for all files that share it (``sharing.py``), repaired before each test
that asks for it: use it for what leaves no trace. A test that needs its own knowledge, size or
settings runs its own::

    with Cluster(tmp_path / "data", knowledge=folder, workers=2) as running:
        requests.get(f"{running.url}/ask", params={"q": "…"})
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import pytest

from kotaemon_node.chaos.target import Target
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.local.ports import choose_block
from kotaemon_node.settings import Settings
from tests.sharing import Shared

_ROOT = Path(__file__).resolve().parents[1]
_START_S = 240.0
_COMMAND_S = 120.0
# What would change a cluster behind a test's back, with the names that others know settings by.
_SETTINGS = {name.upper() for name in Settings.model_fields} | {
    "OPENAI_BASE_URL",
    "OPENAI_API_KEY",
}


class Cluster(Target):
    """A cluster in a data folder of its own, on ports of its own."""

    def __init__(
        self,
        data: Path,
        *,
        workers: int = 3,
        knowledge: Path | None = None,
        plugins: Path | Literal["sample"] | None = None,
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        """Decide on everything; ``up`` (or ``with``) starts it.

        ``knowledge`` None: the sample shop; ``plugins`` None: none, "sample": those of the shop,
        with its orders. ``environment``: settings by their names, e.g.
        ``{"SESSION_IDLE_S": "2"}``; those of the machine are left out. ``arguments``: of ``up``,
        besides.
        """
        self.port = choose_block(1)
        super().__init__(DataFolder(data), url=f"http://127.0.0.1:{self.port}")
        self._workers = workers
        self._knowledge = knowledge
        self._plugins = plugins
        self._arguments = arguments
        inherited = foreign_to_settings(os.environ)
        # The processes run in the data folder: they must find this source tree from there.
        self.environment = {**inherited, "PYTHONPATH": str(_ROOT), **(environment or {})}

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """Start it, perhaps again, and return when every process is ready."""
        arguments = ["--port", str(self.port), "--workers", str(self._workers), "--detach"]
        if self._knowledge is not None:
            arguments += ["--knowledge", str(self._knowledge)]
        if self._plugins != "sample" and "PLUGINS_DIR" not in self.environment:
            folder = self._plugins or self.folder.path / "no-plugins"
            folder.mkdir(parents=True, exist_ok=True)
            arguments += ["--plugins", str(folder)]
        done = self.command("up", *arguments, *self._arguments, timeout_s=_START_S)
        assert done.returncode == 0, done.stderr

    def down(self) -> None:
        """Stop it; its state stays."""
        done = self.command("down")
        assert done.returncode == 0, done.stderr

    def command(
        self, *arguments: str, timeout_s: float = _COMMAND_S
    ) -> subprocess.CompletedProcess[str]:
        """Run ``kotaemon ARGUMENTS --data …`` and return what it printed."""
        return subprocess.run(
            [*COMMAND, *arguments, "--data", str(self.folder.path)],
            cwd=_ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def pid(self, name: str) -> int:
        """Return the pid that serves; the test fails where the process is down."""
        pid = self.row(name)["pid"]
        assert isinstance(pid, int), f"{name} is down"
        return pid

    def pod_url(self, name: str) -> str:
        """Return the address of one process behind the balancer."""
        return f"http://127.0.0.1:{self.row(name)['port']}"

    def wait_until(
        self, condition: Callable[[], bool], *, what: str, timeout_s: float = 60.0
    ) -> float:
        """Return when ``condition()`` holds, after how many seconds; fail the test otherwise."""
        began = time.monotonic()
        while not condition():
            waited = time.monotonic() - began
            assert waited < timeout_s, f"not within {timeout_s:.0f} s: {what}\n{self.logs()}"
            time.sleep(0.05)
        return time.monotonic() - began

    def log(self, name: str) -> str:
        """Return all that a process wrote."""
        return self.folder.log(name).read_text(errors="replace")

    def logs(self) -> str:
        """Return the last lines of every process, for the message of a failed test."""
        names = sorted(path.stem for path in self.folder.logs.glob("*.log"))
        return "\n".join(
            "\n  ".join([f"--- {name}", *self.folder.log_tail(name)]) for name in names
        )


def foreign_to_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what would change a cluster behind a test's back."""
    return {name: text for name, text in environment.items() if name not in _SETTINGS}


COMMAND = [sys.executable, "-m", "kotaemon_node.cli.main"]


_SHARED = Shared("shared_cluster", lambda folder: Cluster(folder / "data", plugins="sample"))


@pytest.fixture
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """Run one cluster with the sample knowledge and plugins for all files of ``SHARED_BY``."""
    return _SHARED.get(tmp_path_factory.getbasetemp() / "shared-cluster")


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    """Return the shared cluster, with every process ready whatever the last test did to it."""
    shared_cluster.wait_ready()
    return shared_cluster
