"""Runs pods of ``tests.fakes.scripted_pod`` as processes of their own, on free ports."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import requests

from tests.redis_server import free_port

_ROOT = Path(__file__).parents[1]
_CONF = _ROOT / "kotaemon_node" / "server" / "gunicorn_conf.py"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ScriptedPod:
    """One pod on a store. ``with`` starts it and kills it."""

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        *,
        name: str = "p0",
        stall_s: float = 20.0,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
        application: str = "tests.fakes.scripted_pod:app",
    ):
        self.name = name
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / f"{name}.log"
        self._pid_file = folder / f"{name}.pid"
        self._environment = {
            **os.environ,
            "REDIS_URL": redis_url,
            "ARTIFACT_URL": f"file://{folder}/artifacts",
            "POD_NAME": name,
            "POD_ADDRESS": f"127.0.0.1:{self.port}",
            "POD_PID_FILE": str(self._pid_file),
            "PYTHONPATH": str(_ROOT),
            "STALL_S": str(stall_s),
            **(settings or {}),
        }
        self._application = application
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "gunicorn", "--no-control-socket"),
                    *("-c", str(_CONF), self._application),
                ],
                cwd=_ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        try:
            until(self._ready, what=f"{self.name} is ready", within_s=60, told=self.log)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                os.kill(self.pid, signal.SIGKILL)  # its parent ends with it
        self._process.wait(30)

    @property
    def pid(self) -> int:
        """The serving process."""
        return int(self._pid_file.read_text())

    def wait_ended(self) -> int:
        """Return the exit status when pod and parent have ended by themselves."""
        assert self._process is not None
        return self._process.wait(60)

    def log(self) -> str:
        """Return what it wrote."""
        return self._log.read_text(errors="replace")[-3_000:]

    def rss_bytes(self) -> int:
        """Return how much memory the pod holds."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_BYTES

    def metric(self, name: str) -> float:
        """Return one metric's value; ``name`` with its labels, as it is shown."""
        shown = requests.get(f"{self.url}/metrics", timeout=30).text
        return next(
            float(line.split()[-1]) for line in shown.splitlines() if line.startswith(name + " ")
        )

    def ask(
        self, session: str, turn: str, *, timeout_s: float = 60.0, **script: Any
    ) -> requests.Response:
        """Post a turn and wait for it, as JSON."""
        return requests.post(
            f"{self.url}/v1/sessions/{session}/turns",
            json={"message": json.dumps(script), "turn_id": turn},
            timeout=timeout_s,
        )

    def session(self, session: str) -> Mapping[str, Any]:
        """Return a session with its history."""
        answer = requests.get(f"{self.url}/v1/sessions/{session}", timeout=30)
        assert answer.status_code == 200, answer.text
        found: Mapping[str, Any] = answer.json()
        return found

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.url}/readyz", timeout=2).ok
        return False


def until(
    condition: Callable[[], bool],
    *,
    what: str,
    within_s: float = 60.0,
    told: Callable[[], str] = str,
) -> float:
    """Return when the condition holds, after how many seconds; the test fails otherwise."""
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        assert waited < within_s, f"not within {within_s:g} s: {what}\n{told()}"
        time.sleep(0.02)
    return time.monotonic() - began
