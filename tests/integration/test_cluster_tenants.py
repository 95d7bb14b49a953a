"""A closed cluster with three tenants: the same names, other texts, and nobody sees another's."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cluster import Cluster

pytestmark = pytest.mark.long

PATIENCE_S = 120.0
QUESTION = "How much does the Aurora cup cost?"
TENANTS = {"default": 11, "acme": 22, "other": 33}


class Tenant:
    """Somebody with the key of an editor."""

    def __init__(self, cluster: Cluster, name: str, key: str) -> None:
        self.cluster = cluster
        self.name = name
        self.own: set[int] = set()
        self._headers = {"Authorization": f"Bearer {key}"}

    def get(self, path: str, **params: Any) -> requests.Response:
        return self._asked("GET", path, params=params)

    def post(self, path: str, **body: Any) -> requests.Response:
        return self._asked("POST", path, json=body)

    def _asked(self, method: str, path: str, **more: Any) -> requests.Response:
        url = f"{self.cluster.url}{path}"
        return requests.request(method, url, headers=self._headers, timeout=60, **more)

    def upload(self, text: str) -> int:
        """Upload the price list; return the generation that holds it."""
        files = {"file": ("prices.md", text.encode(), "text/markdown")}
        reply = self._asked("POST", "/v1/knowledge/default/documents", files=files)
        assert reply.status_code == 202, reply.text
        return self.generation_of(reply.json()["job"])

    def generation_of(self, job: str) -> int:
        until_s = time.monotonic() + PATIENCE_S
        while (found := self.get(f"/v1/jobs/{job}").json())["state"] != "done":
            assert found["state"] != "failed", found
            assert time.monotonic() < until_s, found
            time.sleep(0.1)
        generation = found["result"]["generation"]
        assert isinstance(generation, int)
        return generation

    def answer(self, number: int) -> Mapping[str, Any]:
        """Ask until every pod that is met has come to the newest generation.

        Whatever it is told meanwhile is its own, too.
        """
        self.own.add(number)
        until_s = time.monotonic() + PATIENCE_S
        while True:
            reply = self.get("/ask", q=QUESTION)
            assert reply.status_code == 200, reply.text
            body: Mapping[str, Any] = reply.json()
            assert prices_in(str(body)) <= self.own, body
            if prices_in(body["answer"]) == {number}:
                return body
            assert time.monotonic() < until_s, body
            time.sleep(0.1)


def price(number: int) -> str:
    return f"# Cups\n\nThe Aurora cup costs {number} dollars.\n"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    knowledge = tmp_path_factory.mktemp("knowledge")
    (knowledge / "welcome.md").write_text("# Welcome\n\nHello.\n", encoding="utf-8")
    data: Path = tmp_path_factory.mktemp("data")
    settings = {"AUTH_MODE": "keys"}
    with Cluster(data, knowledge=knowledge, workers=2, environment=settings) as running:
        yield running


@pytest.fixture(scope="module")
def tenants(cluster: Cluster) -> list[Tenant]:
    return [Tenant(cluster, name, key(cluster, name, "admin")) for name in TENANTS]


def key(cluster: Cluster, tenant: str, role: str) -> str:
    done = cluster.command("keys", "create", "--tenant", tenant, "--role", role)
    assert done.returncode == 0, done.stderr
    return next(word for word in done.stdout.split() if word.startswith("kn_"))


def prices_in(text: str) -> set[int]:
    return {int(found) for found in re.findall(r"\b(\d+) dollars", text)}


@pytest.mark.timeout(600)
def test_three_tenants_upload_the_same_name_and_are_told_their_own(
    cluster: Cluster, tenants: list[Tenant]
) -> None:
    first = {it.name: it.upload(price(TENANTS[it.name])) for it in tenants}

    # In turn, so that what one asked before is kept when the next one asks the same.
    for _ in range(4):
        for tenant in tenants:
            told = tenant.answer(TENANTS[tenant.name])
            assert prices_in(told["answer"]) == {TENANTS[tenant.name]}, told
            found = tenant.get("/v1/search", q=QUESTION, min_generation=first[tenant.name])
            hits = " ".join(hit["text"] for hit in found.json()["passages"])
            assert prices_in(hits) == {TENANTS[tenant.name]}

    # Each citation opens for whose it is, and shows to the others what theirs says, if anything.
    for tenant in tenants:
        [source] = [
            it for it in tenant.answer(TENANTS[tenant.name])["source"] if "prices" in str(it)
        ]
        opened = tenant.get(source["url"])
        assert prices_in(opened.text) == {TENANTS[tenant.name]}
        for other in tenants:
            if other is not tenant:
                seen = other.get(source["url"])
                assert seen.status_code == 404, seen.text

    # A change of one, and a rollback of it, are that one's.
    acme = tenants[1]
    acme.upload(price(44))
    assert prices_in(acme.answer(44)["answer"]) == {44}
    back = acme.post("/v1/knowledge/default/rollback", generation=first["acme"])
    assert back.status_code == 202, back.text
    acme.generation_of(back.json()["job"])
    for _ in range(3):
        assert prices_in(acme.answer(22)["answer"]) == {22}
        for tenant in (tenants[0], tenants[2]):
            told = tenant.answer(TENANTS[tenant.name])
            assert prices_in(told["answer"]) == {TENANTS[tenant.name]}

    # Who runs the cluster sees all of them.
    shown = tenants[0].get("/v1/cluster").json()
    assert {"acme", "other"} <= {row["tenant"] for row in shown["tenants"]}
    assert acme.get("/v1/cluster").status_code == 403

    # A tenant of which nobody has heard is answered, from nothing.
    stranger = Tenant(cluster, "stranger", key(cluster, "stranger", "editor"))
    told = stranger.get("/ask", q=QUESTION)
    assert told.status_code == 200, told.text
    assert not told.json()["source"]
    assert prices_in(told.json()["answer"]) == set()
    assert stranger.get("/v1/search", q=QUESTION).status_code == 404


@pytest.mark.timeout(600)
def test_a_tenants_backup_has_its_own_and_would_come_back(
    cluster: Cluster, tenants: list[Tenant], tmp_path: Path
) -> None:
    acme = tenants[1]
    acme.upload(price(55))
    url = (tmp_path / "backups").as_uri()
    made = cluster.command("backup", "--to", url, "--tenant", "acme", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["tenant"] == "acme"
    blobs = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(b"costs 55 dollars" in blob for blob in blobs)
    assert not any(b"costs 33 dollars" in blob for blob in blobs)

    drilled = cluster.command("restore", "--from", url, "--tenant", "acme", "--drill", "--json")
    assert drilled.returncode == 0, drilled.stdout + drilled.stderr
    assert json.loads(drilled.stdout)["good"]
    of_nobody = cluster.command("restore", "--from", url, "--tenant", "other", "--dry-run")
    assert of_nobody.returncode != 0
