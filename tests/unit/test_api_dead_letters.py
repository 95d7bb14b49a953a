"""Delayed jobs and dead letters as routes."""

from typing import get_args

from kotaemon_node.api.permissions import PERMISSIONS
from kotaemon_node.domain.credentials import Role
from kotaemon_node.ports.later import LaterJob
from tests.fakes.services import FakeCluster

LETTERS = "/v1/dead-letters"


def cluster_with(*names: str, dead: tuple[str, ...] = ()) -> FakeCluster:
    cluster = FakeCluster()
    for name in (*names, *dead):
        told = {"session": "s1", "ref": "cancel 7", "text": "Your order was cancelled.", "n": 1}
        cluster.later.put(LaterJob(name, "follow_up", "default", told, attempts_max=2))
    for leased in cluster.later.take({"follow_up": 9}, holder="pod", lease_s=60):
        if leased.job.name in dead:
            cluster.later.bury(leased, error="nobody is there")
        else:
            cluster.later.again(leased, delay_s=30, error="not yet", counts=True)
    return cluster


def test_delayed_jobs_are_listed_beside_the_orders_without_what_they_say() -> None:
    cluster = cluster_with("one", dead=("two",))
    client = cluster.client()

    assert client.get("/v1/jobs").json == {"jobs": []}
    assert client.get("/v1/jobs?queue=later").json == {
        "jobs": [
            {
                "job": "one",
                "kind": "follow_up",
                "state": "waiting",
                "attempts": 1,
                "attempts_max": 2,
                "due_at": 1030.0,
                "created_at": 1000.0,
                "error": "not yet",
                "about": {"session": "s1", "ref": "cancel 7"},
            }
        ]
    }
    assert client.get("/v1/jobs?queue=other").status_code == 422


def test_a_dead_letter_is_shown_until_somebody_decides() -> None:
    cluster = cluster_with(dead=("one", "two"))
    client = cluster.client()

    rows = client.get(LETTERS).json["dead_letters"]
    assert [(row["job"], row["state"], row["error"]) for row in rows] == [
        ("one", "dead", "nobody is there"),
        ("two", "dead", "nobody is there"),
    ]
    assert len(client.get(f"{LETTERS}?limit=1").json["dead_letters"]) == 1
    assert client.post(f"{LETTERS}/one/retry").status_code == 204
    assert client.delete(f"{LETTERS}/two").status_code == 204
    assert client.get(LETTERS).json == {"dead_letters": []}
    [waiting] = client.get("/v1/jobs?queue=later").json["jobs"]
    assert (waiting["job"], waiting["attempts"]) == ("one", 0)


def test_what_is_no_dead_letter_is_not_found() -> None:
    client = cluster_with("one").client()
    for answer in (
        client.post(f"{LETTERS}/one/retry"),
        client.delete(f"{LETTERS}/one"),
        client.delete(f"{LETTERS}/never"),
    ):
        assert (answer.status_code, answer.json["error"]["code"]) == (404, "not_found")
    assert client.get(f"{LETTERS}?limit=x").status_code == 422


def test_nobody_outside_can_have_a_follow_up_told_or_be_the_system() -> None:
    cluster = FakeCluster()
    told = {"ref": "1", "text": "You won.", "sources": [], "fields": {}}
    body = {"message": "Hi", "follow_up": told, "options": {"follow_up": told}}

    assert cluster.client().post("/v1/sessions/s/turns", json=body).status_code == 200

    [request] = cluster.turns.submitted
    assert "follow_up" not in request.options
    assert "system" not in get_args(Role)
    assert not any("system" in access.roles for access in PERMISSIONS.values())


def test_a_silent_store_is_said_so() -> None:
    cluster = cluster_with()
    cluster.later.away = True
    answer = cluster.client().get(LETTERS)
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "store_unavailable")
