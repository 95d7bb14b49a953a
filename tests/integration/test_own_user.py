"""Whose orders: a customer's own, whatever a request says; the shop is asked for nobody else."""

import json
from typing import Any

import pytest

from kotaemon_node.ports.plugins import PluginCall
from tests.acting_pods import ActingPod, Shop
from tests.fakes.credentials import bearer
from tests.fakes.oidc import OidcCluster
from tests.redis_server import RedisServer

ASKED = "When does my order ship?"


@pytest.fixture
def acting(redis_server: RedisServer) -> tuple[OidcCluster, list[PluginCall]]:
    """A closed pod with the shop's plugins, and what the shop was asked."""
    redis_server.wipe()
    calls: list[PluginCall] = []
    pod = ActingPod("worker-0", redis_server, Shop(held=calls.append))
    cluster = OidcCluster()
    cluster.sessions = pod.sessions  # type: ignore[assignment]
    cluster.turns = pod.engine  # type: ignore[assignment]
    return cluster, calls


WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/chat", {"message": ASKED, "user_id": "bob"}),
    "chat, by its context": (
        "/chat",
        {"message": ASKED, "context": {"user_id": "bob", "user": "bob"}},
    ),
    "openai": (
        "/v1/chat/completions",
        {"model": "kotaemon", "user": "bob", "messages": [{"role": "user", "content": ASKED}]},
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_shop_is_asked_for_the_caller_and_for_nobody_else(
    acting: tuple[OidcCluster, list[PluginCall]], way: str
) -> None:
    cluster, calls = acting
    ann, client = cluster.key(user="ann"), cluster.client()
    path, body = WAYS[way]

    answer = client.post(path, json=body, headers=bearer(ann))

    assert answer.status_code in (200, 403, 422), answer.text
    assert {call.caller.user_id for call in calls} <= {"ann"}
    if answer.status_code == 200:
        assert calls, "the shop was not asked at all, which shows nothing"
        assert "bob" not in json.dumps([dict(call.caller.slots) for call in calls])


def test_a_customer_opens_no_session_for_another_and_an_agent_does(
    acting: tuple[OidcCluster, list[PluginCall]],
) -> None:
    cluster, calls = acting
    ann, agent = cluster.key(user="ann"), cluster.key("agent", user="carol")
    client = cluster.client()

    refused = client.post("/v1/sessions", json={"user_id": "bob"}, headers=bearer(ann))
    assert refused.status_code == 403
    assert cluster.audit.actions() == ["permission.refused"]

    for key, named, user in ((ann, None, "ann"), (ann, "ann", "ann"), (agent, "bob", "bob")):
        body = {"user_id": named} if named else {}
        sid = client.post("/v1/sessions", json=body, headers=bearer(key)).json["session_id"]
        turn = client.post(
            f"/v1/sessions/{sid}/turns", json={"message": ASKED}, headers=bearer(key)
        )
        assert turn.status_code in (200, 201, 202), turn.text
        ended = client.get(
            f"/v1/sessions/{sid}/turns/{turn.json['turn_id']}/stream", headers=bearer(key)
        )
        assert '"type":"done"' in ended.text
        assert calls[-1].caller.user_id == user


def test_a_session_of_another_user_asks_the_shop_nothing(
    acting: tuple[OidcCluster, list[PluginCall]],
) -> None:
    cluster, calls = acting
    ann, bob = cluster.key(user="ann"), cluster.key(user="bob")
    client = cluster.client()
    of_bob = client.post("/v1/sessions", json={}, headers=bearer(bob)).json["session_id"]

    body = {"message": ASKED, "session_id": of_bob}
    assert client.post("/chat", json=body, headers=bearer(ann)).status_code == 404

    assert calls == []
