"""``kotaemon audit`` on a real Redis and a folder of artifacts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.audit_moving import AuditMoving
from kotaemon_node.adapters.signing import Ed25519Signer, TrustedKeys
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.ports.audit import NoAuditLog
from tests.audit_logs import NoMovingCounts, store_of, write
from tests.redis_server import RedisServer

SIGNER = Ed25519Signer.of_seed(b"s" * 32)


class Shell:
    """The command line of who runs the cluster."""

    def __init__(self, server: RedisServer, folder: Path) -> None:
        keys = folder / "audit.key"
        keys.write_text("k" * 40 + "\n")
        self.url = server.url
        self.artifacts = FileArtifactStore(folder / "artifacts")
        self.environment = os.environ | {
            "REDIS_URL": server.url,
            "ARTIFACT_URL": (folder / "artifacts").as_uri(),
            "TRUSTED_KEYS": SIGNER.public_key,
            "AUDIT_LOG": "on",
            "AUDIT_KEY_FILE": str(keys),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kotaemon_node.cli.main", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def archive(self) -> None:
        AuditMoving(
            store_of(self.url),
            self.artifacts,
            signer=SIGNER,
            verifier=TrustedKeys([SIGNER.public_key]),
            log=NoAuditLog(),
            leads=lambda: True,
            clock=SystemClock(),
            counts=NoMovingCounts(),
            kept_s=0,
            moved_after_s=0,
        ).sweep()


@pytest.fixture
def shell(server: RedisServer, tmp_path: Path) -> Shell:
    return Shell(server, tmp_path)


@pytest.mark.long
def test_who_makes_a_key_is_in_the_log_and_the_log_is_verified(
    shell: Shell, tmp_path: Path
) -> None:
    """Keys that the command line makes and ends are entries; what was altered is named."""
    made = shell.run("keys", "create", "--role", "editor", "--label", "for ann")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("kn_")  # the key and nothing else: scripts read it
    assert len(made.stdout.splitlines()) == 1
    [key] = json.loads(shell.run("keys", "list", "--json").stdout)
    assert shell.run("keys", "revoke", key["id"]).returncode == 0
    shell.archive()
    write(shell.url, 3)

    listed = json.loads(shell.run("audit", "list", "--action", "key", "--json").stdout)
    assert [(one["action"], one["target"]) for one in listed] == [
        ("key.revoked", key["id"]),
        ("key.created", key["id"]),
    ]
    assert listed[0]["subject"].startswith("os:")
    assert made.stdout.strip() not in json.dumps(listed)

    whole = shell.run("audit", "verify")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert "6 entries" in whole.stdout

    exported = shell.run("audit", "export").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in exported] == [1, 2, 3, 4, 5, 6]
    _look_at_exported(shell, tmp_path / "audit.jsonl", exported)

    client = store_of(shell.url)._store.client
    [(place, row), *_] = client.xrange("kn:{audit:default}:lines")
    client.delete("kn:{audit:default}:lines")
    client.xadd("kn:{audit:default}:lines", {"e": row[b"e"].replace(b"ann", b"bob")}, id=place)
    broken = shell.run("audit", "verify", "--json")
    assert broken.returncode == 1
    [found] = json.loads(broken.stdout)
    assert [(one["kind"], one["seq"]) for one in found["findings"]] == [
        ("altered", 4),
        ("truncated", 5),
    ]
    assert shell.run("audit", "verify", "--since", "soon").returncode == 2


def _look_at_exported(shell: Shell, file: Path, exported: list[str]) -> None:
    """Lines in a file are verified with the keys alone, and compared with logs of processes."""
    file.write_text("\n".join(exported) + "\n", "utf-8")
    nowhere = {"REDIS_URL": "redis://127.0.0.1:1/0", "ARTIFACT_URL": "file:///nowhere"}
    cluster, shell.environment = shell.environment, shell.environment | nowhere
    whole = shell.run("audit", "verify", "--lines", str(file))
    assert whole.returncode == 0, whole.stdout + whole.stderr
    last = json.loads(exported[-1])
    assert f"entries 1 to 6, whose hash is {last['hash']}" in whole.stdout

    heads = file.with_name("worker.log")
    said = {"event": "audit_head", "tenant": "default", "at": "2026-05-01T10:00:00Z"}
    said |= {"chain": str(last["chain"]), "seq": 7, "hash": "f" * 64, "entries": 1}
    heads.write_text(json.dumps(said) + "\n", "utf-8")
    short = shell.run("audit", "verify", "--lines", str(file), "--heads", str(heads), "--json")
    assert short.returncode == 1
    [found] = json.loads(short.stdout)
    assert [(one["kind"], one["seq"]) for one in found["findings"]] == [("truncated", 7)]

    file.write_text(file.read_text("utf-8").replace("for ann", "for bob"), "utf-8")
    assert "altered  entry 2 is not as it was written" in (
        shell.run("audit", "verify", "--lines", str(file)).stdout
    )
    assert shell.run("audit", "verify", "--lines", str(file), "--tenant", "shop").returncode == 2
    assert shell.run("audit", "verify", "--lines", "nowhere.jsonl").returncode == 2
    shell.environment = cluster
