"""The audit log of a whole cluster that asks for keys: written by pods, anchored, verified."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.cluster import Cluster

pytestmark = pytest.mark.long


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Cluster]:
    settings = {"AUTH_MODE": "keys", "AUDIT_LOG": "on"}
    with Cluster(tmp_path / "data", workers=2, environment=settings) as running:
        yield running


def test_a_closed_cluster_keeps_proves_and_shows_who_did_what(closed: Cluster) -> None:
    """Refusals over HTTP and keys of the command line are in one log, which verifies."""
    admin = closed.command("keys", "create", "--role", "admin").stdout.strip()
    customer = closed.command("keys", "create", "--role", "customer").stdout.strip()
    as_admin = {"Authorization": f"Bearer {admin}"}
    as_customer = {"Authorization": f"Bearer {customer}"}

    deadline = time.monotonic() + 60
    while requests.get(f"{closed.url}/v1/audit", headers=as_admin, timeout=30).status_code != 200:
        assert time.monotonic() < deadline
    forged = requests.get(f"{closed.url}/v1/sessions/forged", headers=as_customer, timeout=30)
    assert forged.status_code == 404
    refused = requests.get(f"{closed.url}/v1/audit", headers=as_customer, timeout=30)
    assert refused.status_code == 403
    wrong = requests.get(f"{closed.url}/v1/sessions", headers={"X-API-Key": "x" * 40}, timeout=30)
    assert wrong.status_code == 401

    wanted = {"key.created", "session.refused", "permission.refused", "credential.refused"}
    deadline = time.monotonic() + 60
    while True:
        answer = requests.get(f"{closed.url}/v1/audit?limit=500", headers=as_admin, timeout=30)
        entries = answer.json()["entries"]
        if wanted <= {entry["action"] for entry in entries}:
            break
        assert time.monotonic() < deadline, entries
    [told] = [entry for entry in entries if entry["action"] == "session.refused"]
    assert (told["target"], told["role"], told["trace_id"]) == (
        "forged",
        "customer",
        forged.headers["X-Trace-ID"],
    )
    assert admin not in answer.text
    assert customer not in answer.text

    # The leader anchors what there is within a sweep.
    deadline = time.monotonic() + 60
    while not list(closed.folder.artifacts.glob("audit/default/*/anchors/*.note")):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    verified = closed.command("audit", "verify", "--json")
    assert verified.returncode == 0, verified.stdout
    [found] = json.loads(verified.stdout)
    assert found["whole"]
    assert found["unkeyed"] == 0
    assert found["entries"] >= len(wanted)
