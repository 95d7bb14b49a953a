"""A pod is killed while it calls a tool, or when it has: the client sees one answer, one effect."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests
import yaml

from kotaemon_node.chaos.reader import Reading
from tests.fakes.tool_server import ToolServer
from tests.turn_cluster import Reader, TurnCluster, turn_cluster

DELAY_S = 2.0
SECRET = "Bearer of-the-shop"
# What may act twice is the hardest; the others take the same path.
EACH = pytest.mark.parametrize(
    "effects",
    [
        pytest.param("read", marks=pytest.mark.long),
        pytest.param("idempotent", marks=pytest.mark.long),
        "once",
    ],
)


@dataclass
class Shop:
    """A cluster and the tools that it calls."""

    cluster: TurnCluster
    tools: ToolServer

    def ask(self, effects: str) -> Reader:
        """Return a client whose question makes the model call the tool with these effects."""
        self.cluster.cluster.wait_ready()
        self.cluster.question = f'Where is my order? call:{effects}_act{{"order": "A1"}}'
        return Reader(self.cluster.reader())

    def kill_owner(self, reading: Reading) -> None:
        self.cluster.cluster.kill(self.cluster.owner(reading))

    def key(self, reading: Reading) -> str:
        """Return the key of the turn's call; the session's epoch is part of it."""
        address = f"{self.cluster.url}/v1/sessions/{reading.session_id}"
        # No session, no call: nothing has this key.
        epoch = requests.get(address, timeout=30).json().get("epoch", "none yet")
        return f"default:{reading.session_id}:{epoch}:{reading.turn_id}:1.1"

    def requests(self, reading: Reading) -> int:
        return self.tools.keys().count(self.key(reading))

    def assert_taken_over(self, reading: Reading, *, states: list[str]) -> None:
        """The client has the whole answer of two owners, and both acted once."""
        self.cluster.assert_whole(reading)
        assert self.cluster.turn(reading)["attempts"] == 2
        assert [frame["state"] for frame in reading.frames("tool_call")] == states
        assert self.tools.effects()[self.key(reading)] == 1
        assert reading.restarts == 0
        assert len(reading.frames("source")) == 1
        assert self.cluster.model.stats["prefix_mismatches"] == 0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("tools")
    with ToolServer() as tools:
        described = tools.described(read_act="read", idempotent_act="idempotent", once_act="once")
        for tool in described["tools"]:
            tool["headers"] = {"Authorization": "SHOP_AUTHORIZATION"}
        file = folder / "tools.yaml"
        file.write_text(yaml.safe_dump(described), "utf-8")
        settings = {"TOOLS_FILE": str(file), "SHOP_AUTHORIZATION": SECRET}
        with turn_cluster(folder / "data", settings=settings) as cluster:
            yield Shop(cluster, tools)


@EACH
def test_the_owner_is_killed_during_the_call(shop: Shop, effects: str) -> None:
    # Given a tool that has acted and takes its time to say so
    shop.tools.doings.delay_s, shop.tools.doings.times = DELAY_S, 1
    with shop.ask(effects) as client:
        shop.cluster.cluster.wait_until(
            lambda: shop.requests(client.reading) == 1, what="the tool is called", timeout_s=30
        )
        # When the pod that waits for it is killed
        shop.kill_owner(client.reading)
        reading = client.finish()
    # Then there was one effect, and the answer has it, or says that nobody knows
    lost = effects == "once"
    shop.assert_taken_over(reading, states=["started", "unknown" if lost else "done"])
    assert shop.requests(reading) == (1 if lost else 2)
    answer = shop.tools.doings.answers[shop.key(reading)]
    assert (answer["code"] in reading.text) == (not lost)
    assert ("not known whether it was done" in reading.text) == lost
    assert {asked.headers.get("Authorization") for asked in shop.tools.asked()} == {SECRET}
    assert SECRET not in json.dumps(reading.frames())


@EACH
def test_the_owner_is_killed_in_the_text_behind_the_result(shop: Shop, effects: str) -> None:
    shop.tools.doings.delay_s, shop.tools.doings.times = 0.1, 1
    with shop.ask(effects) as client:
        shop.cluster.cluster.wait_until(
            lambda: "The tools say" in client.reading.text, what="text came", timeout_s=30
        )
        shop.kill_owner(client.reading)
        reading = client.finish()
    shop.assert_taken_over(reading, states=["started", "done"])
    assert shop.requests(reading) == 1
    assert shop.tools.doings.answers[shop.key(reading)]["code"] in reading.text
    assert reading.text.startswith("Let me look that up, part 1.\n\nThe tools say: ")
