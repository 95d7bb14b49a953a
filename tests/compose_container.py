"""A container of one service, without Docker: namespaces, a root of its own, the same restrictions.

What an image brings stands in ``IMAGES``; for our own it is read from the Dockerfile. Programs are
those of this machine. Needs root.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kotaemon_node.local import broker_jars, places
from tests.compose_file import ROOT, mounts
from tests.compose_network import NAMESERVER, WITH_US, Namespace

_DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
# Of the machine's own /etc, what programs need to run at all.
_ETC = (
    *("passwd", "group", "nsswitch.conf", "ssl", "alternatives", "java-17-openjdk", "localtime"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "mime.types", "protocols", "services"),
)
_END_S = 5.0
_DEVICES = ("null", "zero", "full", "random", "urandom")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Image:
    """What an image brings beside its programs."""

    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    working_dir: str = "/"
    stop_signal: signal.Signals = signal.SIGTERM
    owned: Mapping[str, int] = field(default_factory=dict)
    """Folders that a user owns: what is mounted there for the first time belongs to the same."""
    folders: Mapping[str, Path] = field(default_factory=dict)
    """Folders of this machine that stand for some of the image."""


def _of_the_dockerfile() -> Image:
    last = _DOCKERFILE.rpartition("\nFROM ")[2].replace("\\\n", " ")
    told = next(line for line in last.splitlines() if line.startswith("ENV "))
    environment = dict(pair.split("=", 1) for pair in shlex.split(told)[1:])
    installed = re.search(r"install -d -o (\d+) -g \d+((?: /\S+)+)", re.sub(r" +", " ", last))
    assert installed, "the Dockerfile makes folders that its user owns"
    return Image(
        environment=environment,
        working_dir=next(x.split()[1] for x in last.splitlines() if x.startswith("WORKDIR")),
        owned={path: int(installed[1]) for path in installed[2].split()},
        folders={
            **{path: Path(path) for path in (sys.base_prefix, sys.prefix) if path != "/usr"},
            "/opt/kotaemon/venv": Path(sys.prefix),
            environment["MODEL_DIR"]: places.models_folder(),
            str(ROOT): ROOT,
            **{path: ROOT / name for name, path in re.findall(r"\nCOPY (sample\S+) (\S+)", last)},
        },
    )


IMAGES = {
    "kotaemon-cluster": _of_the_dockerfile(),
    "haproxy": Image(stop_signal=signal.SIGUSR1),
    "redis": Image(working_dir="/data", owned={"/data": 999}),
    "apache/kafka": Image(
        owned={"/var/lib/kafka/data": 1000}, folders={"/opt/kafka/libs": broker_jars.folder()}
    ),
    "prom/prometheus": Image(working_dir="/prometheus", owned={"/prometheus": 65534}),
}


class Container:
    """One service's container: started, asked, signalled, ended."""

    def __init__(
        self, name: str, service: Mapping[str, Any], *, folder: Path, namespace: Namespace,
        gateway: str = "",
    ) -> None:  # fmt: skip
        """``folder``: what this stand-in keeps, volumes of the project in ``volumes``.

        ``gateway``: this machine's address, where the service wants to know it.
        """
        self.name, self.service = name, service
        self.image = IMAGES[service["image"].rpartition(":")[0]]
        self.namespace = namespace
        self.log = folder / "logs" / f"{name}.log"
        self._folder, self._gateway = folder, gateway
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, perhaps again: root, memory and processes are new, volumes stay."""
        home = self._folder / "containers" / self.name
        home.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(exist_ok=True)
        script = home / "start.sh"
        script.write_text("\n".join(["set -e", *self._mounted(home), self._entered(home)]) + "\n")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*WITH_US, "nsenter", f"--net={self.namespace.path}",
                 "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
                 "sh", str(script)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def check(self) -> bool:
        """Run the health check in there, once, and tell whether it is content."""
        pid = self.pid
        if pid is None:
            return False
        kind, *command = self.service["healthcheck"]["test"]
        if kind == "CMD-SHELL":
            command = ["/bin/sh", "-c", command[0]]
        inside = ["nsenter", f"--target={pid}", "--mount", "--pid", "--net", "--root", "--wd=/"]
        try:
            done = subprocess.run(
                [*inside, *self._confined(command)],
                capture_output=True, timeout=60, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def ended(self) -> int | None:
        """Its exit status; None before it has one."""
        return None if self._process is None else self._process.poll()

    @property
    def pid(self) -> int | None:
        """Its first process, as this machine numbers it; None where there is none."""
        if self._process is None:
            return None
        listed = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        try:
            children = listed.read_text().split()
        except OSError:
            return None
        return int(children[0]) if children else None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its first process."""
        if (pid := self.pid) is not None:
            os.kill(pid, number)

    def stop(self) -> int:
        """Tell it to stop, kill it if its grace is not enough, return its exit status."""
        assert self._process is not None
        self.send(self.image.stop_signal)
        grace_s = float(str(self.service.get("stop_grace_period", "10s")).removesuffix("s"))
        try:
            return self._process.wait(timeout=grace_s)
        except subprocess.TimeoutExpired:
            return self._end()

    def kill(self) -> None:
        """End it the hard way."""
        if self._process is not None:
            self._end()

    def _end(self) -> int:
        assert self._process is not None
        # All that runs in a container ends with its first process.
        self.send(signal.SIGKILL)
        try:
            return self._process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:  # it was not yet in its namespace
            self._process.kill()
            return self._process.wait()

    def memory_bytes(self) -> int:
        """Return what its processes hold for themselves alone, and their share of the rest."""
        namespace = os.readlink(f"/proc/{self.pid}/ns/pid")
        total = 0
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(process / "ns" / "pid") != namespace:
                    continue
                told = (process / "smaps_rollup").read_text()
            except OSError:
                continue  # it ended meanwhile
            total += sum(int(kib) for kib in re.findall(r"^Pss: +(\d+) kB", told, re.M)) * 1024
        return total

    def _mounted(self, home: Path) -> Iterator[str]:
        """Yield what makes the root: programs, a little of /etc, memory, volumes, and no more."""
        root = home / "root"
        root.mkdir(exist_ok=True)
        yield f"mount --make-rprivate / && mount -t tmpfs -o mode=755 image {root} && cd {root}"
        yield "mkdir usr proc dev etc tmp run var opt && chmod 1777 tmp"
        yield "ln -s usr/bin bin; ln -s usr/sbin sbin; ln -s usr/lib lib; ln -s usr/lib64 lib64"
        yield "mount --rbind /usr usr && mount -o remount,bind,ro usr && mount -t proc proc proc"
        yield from self._etc(home)
        yield from (
            _bound(Path("/dev") / name, f"dev/{name}", read_only=False) for name in _DEVICES
        )
        yield "ln -s /proc/self/fd dev/fd; mkdir dev/shm; mount -t tmpfs -o size=64m shm dev/shm"
        for target, uid in self.image.owned.items():
            yield f"mkdir -p .{target} && chown {uid} .{target}"
        for target, source in self.image.folders.items():
            yield _bound(source, target.lstrip("/"), read_only=True)
        for line in self.service.get("tmpfs", []):
            target, _, options = line.partition(":")
            yield f"mkdir -p .{target} && mount -t tmpfs -o {options} tmpfs .{target}"
        yield from self._volumes()
        if self.service.get("read_only"):
            yield "mount -o remount,ro ."

    def _etc(self, home: Path) -> Iterator[str]:
        for source in (Path("/etc") / name for name in _ETC):
            if source.exists():
                yield _bound(source, f"etc/{source.name}", read_only=True)
        for name, text in self._files_of_docker():
            (home / name).write_text(text)
            yield _bound(home / name, f"etc/{name}", read_only=True)

    def _volumes(self) -> Iterator[str]:
        for mount in mounts(self.service):
            source = mount.path
            if mount.named:
                source = self._folder / "volumes" / mount.source
                if not source.exists():
                    source.mkdir(parents=True)
                    os.chown(source, self.image.owned.get(mount.target, 0), -1)
            yield _bound(source, mount.target.lstrip("/"), read_only=mount.read_only)

    def _files_of_docker(self) -> Iterator[tuple[str, str]]:
        lines = ["127.0.0.1 localhost"]
        for line in self.service.get("extra_hosts", []):
            name, _, address = line.partition(":")
            lines.append(f"{self._gateway if address == 'host-gateway' else address} {name}")
        yield "hosts", "\n".join(lines) + "\n"
        yield "resolv.conf", f"nameserver {NAMESERVER}\noptions ndots:0\n"

    def _entered(self, home: Path) -> str:
        entrypoint, command = (_words(self.service.get(x)) for x in ("entrypoint", "command"))
        files = self.service.get("ulimits", {}).get("nofile", 1024 * 1024)
        return (
            # Where this machine allows fewer, they must do.
            f"ulimit -n {files} 2>/dev/null || true; hostname {self.name}; "
            f"exec chroot {home / 'root'} {shlex.join(self._confined([*entrypoint, *command]))}"
        )

    def _confined(self, command: Sequence[str]) -> list[str]:
        """Return the command with the user, the rights and the environment of the service."""
        uid, gid = self.service["user"].split(":")
        # The last: a process that changes its user is not ended with its parent any more.
        rights = ["--clear-groups", "--inh-caps=-all", "--pdeathsig=KILL"]
        if self.service.get("cap_drop") == ["ALL"]:
            rights.append("--bounding-set=-all")
        if "no-new-privileges:true" in self.service.get("security_opt", []):
            rights.append("--no-new-privs")
        environment = {
            **self.image.environment, "HOSTNAME": self.name,
            **{name: str(value) for name, value in self.service.get("environment", {}).items()},
        }  # fmt: skip
        folder = self.service.get("working_dir", self.image.working_dir)
        return [
            *("/usr/bin/setpriv", f"--reuid={uid}", f"--regid={gid}", *rights),
            *("/usr/bin/env", "-i", f"--chdir={folder}", *map("=".join, environment.items())),
            *command,
        ]  # fmt: skip


def _bound(source: Path, target: str, *, read_only: bool) -> str:
    quoted = shlex.quote(target)
    make = f"mkdir -p {quoted}" if source.is_dir() else f"mkdir -p $(dirname {quoted}); : >{quoted}"
    mount = f"mount --bind {shlex.quote(str(source))} {quoted}"
    return f"{make}; {mount}" + (f"; mount -o remount,bind,ro {quoted}" if read_only else "")


def _words(told: str | Sequence[str] | None) -> list[str]:
    return shlex.split(told) if isinstance(told, str) else list(told or [])


def cannot_run_here() -> str:
    """Return why no container can run on this machine; "" where one can."""
    if os.geteuid() != 0:
        return "containers need root"
    missing = [name for name in ("unshare", "nsenter", "setpriv", "ip") if not shutil.which(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""
