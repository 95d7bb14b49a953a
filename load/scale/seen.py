"""What a Redis says it has done: computing, commands, bytes; and each command by its family."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import psutil
import redis

from load.scale.families import family_of

_NOTED_MAX = 400_000


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums since the server began; the difference of two is what lies between."""

    cpu_us: float
    commands: float
    in_bytes: float
    out_bytes: float

    @classmethod
    def of(cls, client: Any) -> Self:
        """Ask the server."""
        info = client.info("everything")
        return cls(
            (info["used_cpu_user"] + info["used_cpu_sys"]) * 1e6,
            info["total_commands_processed"],
            info["total_net_input_bytes"],
            info["total_net_output_bytes"],
        )

    def __sub__(self, before: Self) -> Self:
        return type(self)(
            self.cpu_us - before.cpu_us,
            self.commands - before.commands,
            self.in_bytes - before.in_bytes,
            self.out_bytes - before.out_bytes,
        )

    def per(self, number: float) -> dict[str, float]:
        """Return it for each of so many turns or seconds."""
        return {
            "cpu_us": self.cpu_us / number,
            "commands": self.commands / number,
            "in_bytes": self.in_bytes / number,
            "out_bytes": self.out_bytes / number,
        }


@contextmanager
def noted(client: Any) -> Iterator[None]:
    """Have the server note every command that clients send while the block runs."""
    before = client.config_get("slowlog-*")
    client.slowlog_reset()
    client.config_set("slowlog-max-len", _NOTED_MAX)
    client.config_set("slowlog-log-slower-than", 0)
    try:
        yield
    finally:
        client.config_set("slowlog-log-slower-than", before["slowlog-log-slower-than"])


def families(client: Any, *, of_process: Callable[[int], bool]) -> Mapping[str, dict[str, float]]:
    """Return of what was noted: family to ``calls`` and ``exec_us``, of some clients.

    ``of_process`` is given the port from which a command came.
    """
    took: dict[tuple[str, str], list[float]] = defaultdict(list)
    for entry in client.execute_command("SLOWLOG", "GET", "-1"):
        arguments, address = _row(entry)
        port = address.rpartition(":")[2]
        if not port.isdigit() or not of_process(int(port)):
            continue  # within a script, or another's
        command = arguments[1] if arguments[0].upper() == "EVALSHA" else arguments[0].upper()
        took[family_of(arguments) or "no key", command].append(float(_field(entry, "duration", 2)))
    client.slowlog_reset()
    found: dict[str, dict[str, float]] = defaultdict(lambda: {"calls": 0.0, "exec_us": 0.0})
    for (family, _), each_us in took.items():
        found[family]["calls"] += len(each_us)
        # By the median: others on its core may have held the server up in the middle of one.
        found[family]["exec_us"] += statistics.median(each_us) * len(each_us)
    return found


def ports_of(pid: int) -> frozenset[int]:
    """Return the local ports of a process's connections, its children's included."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return frozenset(it.laddr.port for one in family for it in one.net_connections(kind="tcp"))


def client_of(url: str) -> Any:
    """Return a client that decodes nothing."""
    return redis.Redis.from_url(url)


def _row(entry: Any) -> tuple[list[str], str]:
    arguments = _field(entry, "command", 3)
    words = arguments.split(b" ") if isinstance(arguments, bytes) else arguments
    return [word.decode("utf-8", "replace") for word in words], _text(
        _field(entry, "client_address", 4)
    )


def _field(entry: Any, name: str, place: int) -> Any:
    return entry[name] if isinstance(entry, dict) else entry[place]


def _text(said: bytes | str) -> str:
    return said.decode() if isinstance(said, bytes) else said
