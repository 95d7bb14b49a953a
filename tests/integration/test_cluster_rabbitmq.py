"""A cluster whose bus is a real RabbitMQ server of somebody else's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.domain.events import KNOWLEDGE_UPDATED, SESSION_UPDATED
from tests.cluster import Cluster
from tests.integration.test_cluster_kafka import OnKafka, talking, tell, until_all_say
from tests.rabbitmq_server import RabbitmqServer


class OnRabbitmq(OnKafka):
    """The same, but for the broker: it is named by the environment."""

    def command(self, *arguments: str, timeout_s: float = 240.0) -> Any:
        return Cluster.command(self, *arguments, timeout_s=timeout_s)


@pytest.fixture
def server() -> Iterator[RabbitmqServer]:
    server = RabbitmqServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.mark.long
def test_changes_come_by_the_server_and_chat_goes_on_without_it(
    server: RabbitmqServer, tmp_path: Path
) -> None:
    knowledge = tmp_path / "knowledge"
    knowledge.mkdir()
    (knowledge / "cups.md").write_text("# Cups\n\nThe Aurora cup costs 18 dollars.\n", "utf-8")
    with OnRabbitmq(
        tmp_path / "data",
        knowledge=knowledge,
        workers=2,
        environment={"RABBITMQ_URL": server.url, "TURN_LOG": "on"},
    ) as cluster:
        _told_to_every_pod(cluster, tell(knowledge, "Borealis", 49), "49 dollars")

        with talking(cluster, people=2) as load:
            cluster.wait_until(lambda: len(load.seconds) >= 20, what="people talk")
            cluster.wait_until(
                lambda: all(cluster.counted(SESSION_UPDATED, "handled")), what="pods hear of it"
            )
            server.kill()
            load.phase = "without the server"
            took = until_all_say(cluster, tell(knowledge, "Cirrus", 50), "50 dollars")
            cluster.wait_until(
                lambda: sum(phase == load.phase for phase, _ in load.seconds) >= 20,
                what="people talk",
            )
            unsent = cluster.unsent()
            server.start()
            load.phase = "with the server again"
            cluster.wait_until(
                lambda: sum(phase == load.phase for phase, _ in load.seconds) >= 10,
                what="people talk",
            )
        drained = cluster.wait_until(lambda: cluster.unsent() == 0, what="every event was sent")

        for phase in dict.fromkeys(name for name, _ in load.seconds):
            print(load.worst(phase))
        print(f"without it a change came in {took:.1f} s; {unsent} unsent, sent in {drained:.1f} s")
        assert load.errors == []
        assert unsent >= 20
        _told_to_every_pod(cluster, tell(knowledge, "Stratus", 51), "51 dollars")


def _told_to_every_pod(cluster: OnRabbitmq, question: str, text: str) -> None:
    """Wait until all pods serve a change and each has heard of it by an event."""
    before = cluster.counted(KNOWLEDGE_UPDATED, "handled")
    took = until_all_say(cluster, question, text)
    cluster.wait_until(
        lambda: all(
            now > then
            for now, then in zip(cluster.counted(KNOWLEDGE_UPDATED, "handled"), before, strict=True)
        ),
        what="every pod heard of it from the server",
    )
    print(f"served by all pods after {took:.2f} s")
