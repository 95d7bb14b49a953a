"""The data folder: all that a cluster on one machine keeps, and where each part lies in it."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from kotaemon_node.local.errors import LocalError

LOG_TAIL_LINES = 15
TLS_FOLDER = "tls"


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Paths below one absolute folder. The configuration files in it are remade at each start."""

    path: Path

    @property
    def redis(self) -> Path:
        """Redis keeps its append-only file here."""
        return self.path / "redis"

    @property
    def kafka(self) -> Path:
        """The broker of the cluster, where it runs one, keeps its log here."""
        return self.path / "kafka"

    @property
    def artifacts(self) -> Path:
        """Generations of knowledge."""
        return self.path / "artifacts"

    @property
    def artifact_cache(self) -> Path:
        """Copies of artifacts that the pods read elsewhere; made by them."""
        return self.path / "artifact-cache"

    @property
    def knowledge(self) -> Path:
        """Watched folder of a cluster that was given no other."""
        return self.path / "knowledge"

    @property
    def plugins(self) -> Path:
        """Watched folder of plugins of a cluster that was given no other."""
        return self.path / "plugins"

    @property
    def logs(self) -> Path:
        """One log a process."""
        return self.path / "logs"

    @property
    def run(self) -> Path:
        """Sockets and pid files; of no use once the cluster is down."""
        return self.path / "run"

    @property
    def tls(self) -> Path:
        """Leads to certificate and key of the balancer, where it speaks TLS."""
        return self.path / TLS_FOLDER

    @property
    def cluster_file(self) -> Path:
        """Identity and ports, chosen once (``kotaemon_node.local.cluster``)."""
        return self.path / "cluster.json"

    @property
    def haproxy_config(self) -> Path:
        return self.path / "haproxy.cfg"

    @property
    def redis_config(self) -> Path:
        return self.path / "redis.conf"

    @property
    def kafka_config(self) -> Path:
        return self.path / "kafka.properties"

    @property
    def supervisord_config(self) -> Path:
        return self.path / "supervisord.conf"

    @property
    def session_file(self) -> Path:
        """Number of the session that all processes of the last start belong to."""
        return self.run / "session"

    def pid_file(self, name: str) -> Path:
        """Where the serving process of a worker writes its own pid."""
        return self.run / f"{name}.pid"

    def log(self, name: str) -> Path:
        """The log of a process of this name."""
        return self.logs / f"{name}.log"

    def log_tail(self, name: str) -> list[str]:
        """Return the last lines that a process wrote; empty when it wrote none."""
        log = self.log(name)
        if not log.is_file():
            return []
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 64 * 1024))
            text = file.read().decode("utf-8", "replace")
        return [line.rstrip() for line in text.splitlines() if line.strip()][-LOG_TAIL_LINES:]

    def prepare(self) -> None:
        """Create the folder and its parts; ``LocalError`` where nothing can be written."""
        try:
            for part in (self.redis, self.artifacts, self.logs, self.run):
                part.mkdir(parents=True, exist_ok=True)
            # Whoever reaches the sockets in here controls the cluster.
            self.run.chmod(0o700)
            probe = self.run / "write.probe"
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            reason = error.strerror or str(error)
            raise LocalError(
                f"The data folder {self.path} cannot be written ({reason});"
                " name another one with --data."
            ) from error

    @contextmanager
    def sole_start(self) -> Iterator[None]:
        """Keep a second ``up`` off this folder while the first one is still starting."""
        with (self.run / "start.lock").open("w") as lock:
            try:
                flock(lock, LOCK_EX | LOCK_NB)
            except BlockingIOError as error:
                raise LocalError(
                    f"Another `kotaemon up` is starting a cluster in {self.path} right now."
                ) from error
            yield


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or the new one, never a part."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def write_json(path: Path, value: object) -> None:
    """Write JSON for people to read, whole or not at all."""
    write_whole(path, json.dumps(value, indent=2) + "\n")
