"""A channel of a whole cluster: each message has one reply though pods and Redis are killed."""

import json
import time
from pathlib import Path

import pytest
import requests

from kotaemon_node.domain.webhooks import headers_of, verify
from tests.cluster import Cluster
from tests.integration.test_webhooks_delivered import NEW, Receiver

PATIENCE_S, MESSAGES = 120, 12


def deliver(url: str, number: int) -> int:
    """Bring a message until it is taken, as platforms do; returns how often that took."""
    body = {
        "message_id": f"m-{number}",
        "user": {"id": "u1"},
        "conversation_id": f"c{number % 4}",
        "text": f"How long does shipping take? {number}",
    }
    raw = json.dumps(body).encode()
    deadline_s, tries = time.monotonic() + PATIENCE_S, 0
    while time.monotonic() < deadline_s:
        tries += 1
        signed = headers_of(raw, message_id="m", at_s=time.time(), secrets=[NEW])
        try:
            answer = requests.post(
                f"{url}/v1/channels/chat/messages", data=raw, headers=signed, timeout=30
            )
        except requests.RequestException:
            answer = None
        if answer is not None and answer.status_code == 202:
            return tries
        assert answer is None or answer.status_code in (429, 502, 503, 504), answer.text
        time.sleep(0.2)
    raise AssertionError("nobody took it")


@pytest.mark.long
def test_each_message_has_one_reply_though_pods_and_redis_are_killed(tmp_path: Path) -> None:
    receiver = Receiver(*[503] * 5)
    file = tmp_path / "channels.yaml"
    file.write_text(
        f"channels:\n  - name: chat\n    reply_url: {receiver.url}\n"
        "    secret_env: HOOK_SECRET\n    private: true\n"
    )
    environment = {"CHANNELS_FILE": str(file), "HOOK_SECRET": NEW}
    told: dict[str, set[str]] = {}
    wanted = {f"m-{number}" for number in range(MESSAGES)}
    knowledge = tmp_path / "knowledge"
    knowledge.mkdir()
    (knowledge / "shipping.md").write_text("# Shipping\n\nShipping takes two days.\n")
    with Cluster(
        tmp_path / "data", workers=3, knowledge=knowledge, environment=environment
    ) as running:
        for number in range(MESSAGES):
            deliver(running.url, number)
            deliver(running.url, number)  # the platform did not hear the first answer
            if number % 3 == 0:
                running.kill(f"worker-{number // 3 % 3}")
            if number == 7:
                running.kill("redis")
        deadline_s = time.monotonic() + PATIENCE_S
        while told.keys() != wanted and time.monotonic() < deadline_s:
            time.sleep(0.2)
            for headers, raw in list(receiver.got):
                message_id = verify(headers, raw, secrets=[NEW], now_s=time.time())
                data = json.loads(raw)["data"]
                assert data["state"] == "done", data
                told.setdefault(data["in_reply_to"], set()).add(message_id)
        dead = requests.get(f"{running.url}/v1/dead-letters", timeout=30).json()
    receiver.close()
    assert told.keys() == wanted
    assert all(len(ids) == 1 for ids in told.values())
    assert len({next(iter(ids)) for ids in told.values()}) == MESSAGES
    assert dead == {"dead_letters": []}
