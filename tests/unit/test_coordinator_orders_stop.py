"""A coordinator that is told to end in the middle of an order ends; the next one does the order."""

from pathlib import Path

import pytest
import structlog

from coordinator.leader import Stopping
from kotaemon_node.ports.jobs import Order
from tests.fakes.coordination import TENANT, SteppedCoordinator, World


def test_an_order_does_not_hold_up_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a leader that is told to end while it purges
    world = World(tmp_path)
    world.write({"a.md": "One.", "b.md": "Two."})
    leader = SteppedCoordinator(world)
    leader.settle()
    world.jobs.submit(Order("job-1", "purge", TENANT, "default", {"document": "a.md"}))
    documents_in = leader.builder.documents_in
    monkeypatch.setattr(
        leader.builder, "documents_in", lambda *which: (leader.loop.stop(), documents_in(*which))[1]
    )
    leader.lease.renew()
    # Then it ends there, and that is no fault
    with structlog.testing.capture_logs() as logs, pytest.raises(Stopping):
        leader.loop.step()
    assert [line for line in logs if line["log_level"] == "error"] == []
    assert world.texts() == ["One.", "Two."]
    # And the next leader does it
    world.clock.sleep(10)
    SteppedCoordinator(world, name="b").settle()
    assert world.texts() == ["Two."]
    assert world.jobs.find(TENANT, "job-1").state == "done"
