"""The paced language model in a process of its own, told by lines of JSON how to behave.

    python -m load.chaos.model --port 9000

A line is ``{"token_ms": 1000}``, the pace from now on, or ``{"fault": "cut", "times": 3,
"after_tokens": 10}``, see ``tests.fakes.llm_server``. It ends with its input.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import requests

from kotaemon_node.local.ports import choose_block
from tests.fakes.llm_server import FakeLlmServer, Fault

ROOT = Path(__file__).resolve().parents[2]
PACE: Final[Mapping[str, float]] = {"first_ms": 50, "token_ms": 30, "end_ms": 500, "tokens_min": 60}
_START_S = 30.0


class Model:
    """The process, from outside: ``with Model() as model: … model.base_url``."""

    def __init__(self, pace: Mapping[str, float] = PACE) -> None:
        self.pace = pace
        self._port = choose_block(1)
        self.base_url = f"http://127.0.0.1:{self._port}/v1"
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "load.chaos.model", f"--port={self._port}"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            text=True,
        )
        deadline_s = time.monotonic() + _START_S
        while True:
            try:
                self.stats()
            except requests.RequestException:
                if time.monotonic() > deadline_s:
                    self.__exit__()
                    raise
                time.sleep(0.05)
            else:
                break
        self.tell(self.pace)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def tell(self, behaviour: Mapping[str, Any]) -> None:
        """Let it behave so from its next token on."""
        assert self._process is not None
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(dict(behaviour)) + "\n")
            self._process.stdin.flush()

    def stats(self) -> Mapping[str, int]:
        """Return what it counted."""
        found: Mapping[str, int] = requests.get(
            f"http://127.0.0.1:{self._port}/stats", timeout=10
        ).json()
        return found


def _obey(server: FakeLlmServer, told: Mapping[str, Any]) -> None:
    behaviour = server.behaviour
    with behaviour.lock:
        if "fault" in told:
            behaviour.fault = Fault(told["fault"], told["times"], told.get("after_tokens", 0))
            return
        for name, value in told.items():
            setattr(behaviour, name, value)


def main() -> None:
    """Serve until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    with FakeLlmServer(port=parser.parse_args().port) as server:
        for line in sys.stdin:
            _obey(server, json.loads(line))


if __name__ == "__main__":
    main()
