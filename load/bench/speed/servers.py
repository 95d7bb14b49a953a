"""The processes of a measure: a Redis, pods, other servers; each on its core, all ended."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil
import redis

from kotaemon_node.adapters.redis import connect
from kotaemon_node.adapters.redis.pointer import RedisGenerationPointer
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.settings import Settings
from load.bench.speed.cores import Cores, kept_on, move
from load.bench.speed.knowledge import Knowledge
from load.bench.speed.processes import waited_s
from tests.redis_server import RedisServer, free_port

ROOT = Path(__file__).resolve().parents[3]
_START_S = 60.0
_POLL_S = 0.01
_STOP_S = 10.0
_LOOK_S = 0.5
_IDLE_SHARE = 0.1
_TOLD_LINES = 15
_POD = (
    "gunicorn",
    "-c",
    "python:kotaemon_node.server.gunicorn_conf",
    "kotaemon_node.server.wsgi:app",
)
# What would change a pod behind the measure's back.
_SETTINGS = {name.upper() for name in Settings.model_fields} | {"OPENAI_BASE_URL", "OPENAI_API_KEY"}


@dataclass(slots=True)
class Served:
    """A server that runs."""

    port: int
    pid: int
    """The process that serves; a pod's is the child of the one that was started."""
    started_s: float = 0.0
    """From its start until it was ready."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def cpu_s(self) -> float:
        """Return what it has computed until now, its children's work included."""
        serving = psutil.Process(self.pid)
        family = [serving, *serving.children(recursive=True)]
        return sum(one.cpu_times().user + one.cpu_times().system for one in family)

    def waited_s(self) -> float:
        """Return how long its serving thread could have run and got no core, until now."""
        return waited_s(self.pid)


class Stage:
    """Starts what a measure needs; ends all of it."""

    def __init__(self, cores: Cores, *, models: Path) -> None:
        self.cores = cores
        self.models = models
        self.cleanup = ExitStack()
        self.folder = Path(self.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="kn-b-")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for path in sorted(self.folder.glob("*.log")):
                lines = path.read_text("utf-8", errors="replace").splitlines()[-_TOLD_LINES:]
                print("\n  ".join([f"--- {path.stem}", *lines]), file=sys.stderr)
        self.cleanup.close()

    def redis(self) -> RedisServer:
        """Start a Redis as ``kotaemon up`` has one, on the cores around."""
        server = RedisServer(options=("--appendonly", "yes", "--appendfsync", "everysec"))
        self.cleanup.callback(server.remove)
        server.start()
        with redis.Redis(port=server.port) as client:
            info: Any = client.info("server")
        move(int(info["process_id"]), self.cores.around)
        return server

    def pod(
        self,
        redis_url: str,
        knowledge: Knowledge,
        *,
        name: str = "worker-0",
        where: frozenset[int] | None = None,
        **settings: str,
    ) -> Served:
        """Start a worker with the settings of an empty environment, and return when it is ready."""
        RedisGenerationPointer(connect(redis_url)).publish(DEFAULT_TENANT, knowledge.ref)
        port = free_port()
        pid_file = self.folder / f"{name}-{port}.pid"
        plugins = self.folder / "no-plugins"
        plugins.mkdir(exist_ok=True)
        environment = {
            **{key: text for key, text in os.environ.items() if key not in _SETTINGS},
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": redis_url,
            "POD_NAME": name,
            "POD_ADDRESS": f"127.0.0.1:{port}",
            "POD_PID_FILE": str(pid_file),
            "ARTIFACT_URL": f"file://{knowledge.artifacts.absolute()}",
            "ARTIFACT_CACHE_DIR": str(self.folder / "cache"),
            "TRUSTED_KEYS": knowledge.trusted,
            "MODEL_DIR": str(self.models.absolute()),
            "PLUGINS_DIR": str(plugins),
            **settings,
        }
        began_s = time.perf_counter()
        log = self.start(
            [sys.executable, "-m", *_POD], environment, where=where or self.cores.served
        )
        _until(lambda: _ready(port), f"worker {name} is ready", log)
        took_s = time.perf_counter() - began_s
        return Served(port, int(pid_file.read_text("ascii")), took_s)

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], *, where: frozenset[int]
    ) -> "Log":
        """Start a program on these cores; what it writes goes to a file."""
        number = len(list(self.folder.glob("*.log")))
        path = self.folder / f"{number}-{Path(command[-1]).name}.log"
        with path.open("wb") as file:
            process = subprocess.Popen(
                [*kept_on(where), *command],
                env=dict(environment),
                cwd=ROOT,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.cleanup.callback(_end, process)
        return Log(path, process)


@dataclass(frozen=True, slots=True)
class Log:
    """A process that was started, and what it wrote."""

    path: Path
    process: "subprocess.Popen[bytes]"

    def tail(self) -> str:
        """Return its last lines."""
        return "\n".join(self.path.read_text("utf-8", errors="replace").splitlines()[-_TOLD_LINES:])


def served_when_answering(port: int, path: str, log: Log) -> Served:
    """Return the server when it answers a GET of ``path`` with any status."""
    began_s = time.perf_counter()
    _until(lambda: _status(f"http://127.0.0.1:{port}{path}") > 0, f"port {port} answers", log)
    return Served(port, log.process.pid, time.perf_counter() - began_s)


def wait_idle(served: Served) -> None:
    """Return when a server has nothing left to do; ``RuntimeError`` where it does not end."""
    until_s = time.perf_counter() + _START_S
    while time.perf_counter() < until_s:
        before_s = served.cpu_s()
        time.sleep(_LOOK_S)
        if served.cpu_s() - before_s < _IDLE_SHARE * _LOOK_S:
            return
    raise RuntimeError(f"a server is busy {_START_S:.0f} s behind the last question")


def _ready(port: int) -> bool:
    return _status(f"http://127.0.0.1:{port}/readyz") == 200


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)
    except OSError:
        return 0


def _until(condition: Any, what: str, log: Log) -> None:
    until_s = time.perf_counter() + _START_S
    while not condition():
        if log.process.poll() is not None or time.perf_counter() > until_s:
            raise RuntimeError(f"not within {_START_S:.0f} s: {what}\n{log.tail()}")
        time.sleep(_POLL_S)


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def child(module: str, plan: Mapping[str, Any], *, where: frozenset[int]) -> dict[str, Any]:
    """Run ``python -m load.bench.speed.MODULE`` with a plan on its input; return what it says."""
    done = subprocess.run(
        [*kept_on(where), sys.executable, "-m", f"load.bench.speed.{module}"],
        input=json.dumps(plan),
        cwd=ROOT,
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said
