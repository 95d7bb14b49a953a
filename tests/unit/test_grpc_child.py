"""The pod's gRPC process is kept, whatever keeps it from starting for a moment."""

import errno
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from kotaemon_node.server.grpc_child import GrpcChild
from tests.fakes.services import FakeClock


class AtOnce:
    def spawn(self, name: str, work: Callable[[], None]) -> None:
        work()


def test_a_process_that_cannot_be_started_now_is_started_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, tries = FakeClock(), 0
    began_s = clock.at_s

    class Child:
        pid = 7

        def wait(self) -> int:
            return 0

    def start(command: list[str], **_: Any) -> Child:
        nonlocal tries
        tries += 1
        if tries in {1, 2, 4}:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return Child()

    monkeypatch.setattr(subprocess, "Popen", start)
    child = GrpcChild(
        host="127.0.0.1",
        port=1,
        pod_address="127.0.0.1:2",
        clock=clock,
        draining=lambda: tries == 5,
    )
    child.start(AtOnce())

    assert tries == 5
    assert isinstance(child.process, Child)
    assert clock.at_s - began_s == 4  # a pause behind every try but the last
