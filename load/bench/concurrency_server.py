"""A candidate at work: its processes, what they cost, and how they are asked about themselves."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
START_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to serve streams and to encode beside them."""

    name: str
    worker: str
    """gunicorn's worker class."""
    encode: str
    """``BENCH_ENCODE`` of the application."""
    encode_threads: int
    worker_threads: int = 1
    cores: tuple[int, ...] = ()
    """The cores that its processes may use; empty: all."""


class RunningServer:
    """The candidate's processes; a context that ends them."""

    def __init__(self, candidate: Candidate, *, models: Path) -> None:
        self._candidate = candidate
        self._models = models
        self._cleanup = ExitStack()
        self._processes: list[psutil.Process] = []
        self.port = _free_port()

    def __enter__(self) -> Self:
        folder = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory()))
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}",
            "BENCH_ENCODE": self._candidate.encode,
            "BENCH_THREADS": str(self._candidate.encode_threads),
            "BENCH_MODELS": str(self._models),
            "BENCH_SOCKET": str(folder / "encoder.sock"),
        }
        try:
            if self._candidate.encode == "socket":
                self._start_encoder(folder / "encoder.sock", environment)
            self._start_gunicorn(environment)
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def probe(self) -> dict[str, Any]:
        """Return what the serving process says of itself; resets its window."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/probe", timeout=30) as answer:
            said: dict[str, Any] = json.load(answer)
        return said

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds used so far, by process."""
        return {
            name: sum(process.cpu_times()[:2])
            for name, process in zip(("serve", "encode"), self._processes, strict=False)
        }

    def rss_bytes(self) -> int:
        """Return the resident memory of all the candidate's processes but gunicorn's parent."""
        return sum(int(process.memory_info().rss) for process in self._processes)

    def _start_gunicorn(self, environment: Mapping[str, str]) -> None:
        candidate = self._candidate
        arguments = [
            sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{self.port}", "-w", "1",
            "-k", candidate.worker, "--threads", str(candidate.worker_threads),
            "--worker-connections", "14000", "--backlog", "4096", "--timeout", "300",
            "--keep-alive", "90", "--log-level", "error", "--graceful-timeout", "1",
            "concurrency_app:app",
        ]  # fmt: skip
        self._start(arguments, environment)
        until_s = time.monotonic() + START_WITHIN_S
        while True:
            try:
                serving = psutil.Process(self.probe()["pid"])
                break
            except OSError:
                if time.monotonic() > until_s:
                    raise
                time.sleep(0.1)
        self._processes.insert(0, serving)

    def _start_encoder(self, path: Path, environment: Mapping[str, str]) -> None:
        arguments = [sys.executable, str(HERE / "concurrency_encoder.py")]
        arguments += ["--socket", str(path), "--models", str(self._models)]
        encoder = self._start(arguments, environment)
        until_s = time.monotonic() + START_WITHIN_S
        while not path.exists():
            if encoder.poll() is not None or time.monotonic() > until_s:
                raise RuntimeError("the encoder process did not start")
            time.sleep(0.05)
        self._processes.append(psutil.Process(encoder.pid))

    def _start(
        self, arguments: list[str], environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        if self._candidate.cores:
            cores = ",".join(str(core) for core in self._candidate.cores)
            arguments = ["taskset", "-c", cores, *arguments]
        # A group of its own: ending it ends gunicorn's child as well.
        process = subprocess.Popen(arguments, env=environment, start_new_session=True)
        self._cleanup.callback(_end_group, process)
        return process


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):  # it ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port: int = chosen.getsockname()[1]
        return port
