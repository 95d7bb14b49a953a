"""An agent of the library acts by plugins, without a language model and without a cluster."""

from pathlib import Path

import pytest

from kotaemon_node.conversation import ConversationAgent, ConversationMemory
from kotaemon_node.domain.frames import Frame
from kotaemon_node.rag import RagConfig, RetrievalAugmentedGenerator
from tests.sample_shop import served_shop


@pytest.mark.long  # processes of plugins and an encoder; the page of the library shows the same
def test_an_order_is_explained_then_cancelled_once_behind_a_yes(tmp_path: Path) -> None:
    memory = ConversationMemory(user_id="demo")
    with (
        served_shop(tmp_path) as shop,
        RetrievalAugmentedGenerator(RagConfig(index=tmp_path / "index")) as documents,
    ):
        plugins = [shop.plugins / "order_query.py", shop.plugins / "order_cancel.py"]
        agent = ConversationAgent(memory, documents, plugins=plugins)
        try:
            told = agent.step("Why hasn't my order shipped?")
            assert told.startswith("Order 1003 (1 × Nordic desk lamp, 2 × stoneware mug) has not")
            assert memory.state.slots == {"order_id": "1003"}
            assert "Cancel order 1003" in agent.step("then cancel it")
            assert memory.state.pending is not None
            assert shop.order("1003")["status"] == "waiting"
            frames = list(agent.frames("yes"))
            calls = [it.fields for it in frames if isinstance(it, Frame) and it.type == "tool_call"]
            assert [(it["name"], it["state"]) for it in calls] == [
                ("order_cancel", "started"),
                ("order_cancel", "done"),
            ]
            assert memory.turns[-1].answer.startswith("Order 1003 is cancelled.")
            assert shop.order("1003")["status"] == "cancelled"
            assert agent.step("Do you sell boats?").unanswered
        finally:
            agent.close()
