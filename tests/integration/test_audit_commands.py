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
def test_who_makes_a_key_is_in_the_log_and_the_log_is_verified(shell: Shell) -> None:
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
