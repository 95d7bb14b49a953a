"""Webhooks of a whole cluster: told of each turn though its receiver fails and pods are killed."""

import json
import time
from pathlib import Path

import pytest
import requests

from kotaemon_node.domain.webhooks import verify
from tests.cluster import Cluster
from tests.integration.test_webhooks_delivered import NEW, Receiver

PATIENCE_S, FAILING = 120, 12


@pytest.mark.long
def test_each_turn_is_told_though_the_receiver_fails_and_pods_are_killed(tmp_path: Path) -> None:
    receiver = Receiver(*[503] * FAILING)
    file = tmp_path / "webhooks.yaml"
    file.write_text(
        f"webhooks:\n  - name: crm\n    url: {receiver.url}\n    events: [turn.completed]\n"
        "    secret_env: HOOK_SECRET\n    private: true\n    texts: true\n"
    )
    environment = {"WEBHOOKS_FILE": str(file), "HOOK_SECRET": NEW}
    with Cluster(tmp_path / "data", workers=3, environment=environment) as running:
        asked: set[str] = set()
        for number in range(6):
            body = {"message": f"How long does shipping take? {number}", "turn_id": f"t{number}"}
            answer = requests.post(
                f"{running.url}/v1/sessions/s{number}/turns", json=body, timeout=60
            )
            assert answer.status_code == 200
            asked.add(f"t{number}")
            if number in (2, 4):
                running.kill(f"worker-{number // 2}")
        # Twelve attempts fail first; then Redis dies as well, with what waits in it.
        running.wait_until(
            lambda: len(receiver.got) >= 8, what="eight attempts", timeout_s=PATIENCE_S
        )
        running.kill("redis")
        told: dict[str, set[str]] = {}
        deadline_s = time.monotonic() + PATIENCE_S
        while told.keys() != asked and time.monotonic() < deadline_s:
            time.sleep(0.2)
            for headers, raw in receiver.got[FAILING:]:
                message_id = verify(headers, raw, secrets=[NEW], now_s=time.time())
                told.setdefault(json.loads(raw)["data"]["turn_id"], set()).add(message_id)
        listed = requests.get(f"{running.url}/v1/jobs?queue=later", timeout=30).json()
        dead = requests.get(f"{running.url}/v1/dead-letters", timeout=30).json()
    receiver.close()
    assert told.keys() == asked, listed
    assert all(len(ids) == 1 for ids in told.values())
    assert dead == {"dead_letters": []}
