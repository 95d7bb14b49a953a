"""The leader's side of build tasks: they are messages, and who works is the group's members."""

import threading
from dataclasses import asdict
from typing import Final

import orjson
import structlog
from kafka import KafkaAdminClient

from kotaemon_node.adapters.kafka.address import KafkaAddress
from kotaemon_node.adapters.kafka.client import FAILURES, administrator
from kotaemon_node.adapters.kafka.task_group import GROUP
from kotaemon_node.domain.events import BUILD_TASK, BuildTask
from kotaemon_node.ports.events import Bus, Message

_log = structlog.get_logger(__name__)

_LOOK_S: Final = 3.0


class KafkaTaskOffers:
    """``ports.build_tasks.TaskOffers``."""

    def __init__(self, address: KafkaAddress, bus: Bus) -> None:
        """``bus`` is the one on the same cluster."""
        self._address = address
        self._bus = bus
        self._workers = 0
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to look who works."""
        threading.Thread(target=self._look, name="build-workers", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._stopped.set()

    def offer(self, task: BuildTask) -> None:
        """See the port."""
        value = orjson.dumps(asdict(task))
        self._bus.publish(Message(topic=BUILD_TASK, key=task.document, value=value))

    def workers(self) -> int:
        """See the port."""
        return self._workers

    def _look(self) -> None:
        while not self._stopped.is_set():
            try:
                with administrator(self._address) as admin:
                    while not self._stopped.is_set():
                        self._note(_members(admin))
                        self._stopped.wait(_LOOK_S)
            except FAILURES:
                self._note(0)
                self._stopped.wait(_LOOK_S)

    def _note(self, workers: int) -> None:
        if workers != self._workers:
            _log.info("build_workers", there=workers)
        self._workers = workers


def _members(admin: KafkaAdminClient) -> int:
    """Return how many members the group has; 0 where it does not exist."""
    group = admin.describe_groups([GROUP]).get(GROUP, {})
    return len(group.get("members") or ())
