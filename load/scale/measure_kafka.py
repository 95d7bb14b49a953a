"""What an event costs a real Kafka broker, and what each pod that waits for one costs it."""

import threading
import time
from pathlib import Path

import psutil

from kotaemon_node.adapters.kafka import KafkaBus
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.events import CONFIG_UPDATED, KNOWLEDGE_UPDATED, SESSION_UPDATED
from load.scale.measure_bus import message, until
from tests.kafka_broker import KafkaBroker

_WARM, _EVENTS = 1_500, 600
_READERS = 6
_IDLE_S = 5.0
_TOPICS = (KNOWLEDGE_UPDATED, SESSION_UPDATED, CONFIG_UPDATED)


class Clock(SystemClock):
    """Sleeps for ever once the broker is gone: its readers would look for it for ever."""

    def __init__(self) -> None:
        self.over = False

    def sleep(self, duration_s: float) -> None:
        if self.over:
            threading.Event().wait()
        super().sleep(duration_s)


def measured() -> dict[str, float]:
    """Return the costs; the broker computes some time before, so that its code is compiled."""
    broker, clock = KafkaBroker(), Clock()
    broker.start()
    try:
        bus = KafkaBus(broker.address, clock=clock)
        process = _process_of(broker)
        _publish(bus, _WARM)
        alone_us, event_bytes = _published(bus, process, broker)
        idle_alone_us = _idle(process)
        heard = [0] * _READERS
        for place in range(_READERS):
            _listen(broker, clock, heard, place)
        _heard(bus, heard, _WARM // 4)
        idle_us = _idle(process)
        before_s, said = _cpu_s(process), heard[0]
        _heard(bus, heard, _EVENTS)
        told_us = (_cpu_s(process) - before_s) * 1e6 / (heard[0] - said)
        return {
            "kafka_publish_us": alone_us,
            "kafka_told_us": max(0.0, told_us - alone_us) / _READERS,
            "kafka_idle_us": max(0.0, idle_us - idle_alone_us) / _READERS,
            "kafka_bytes": event_bytes,
        }
    finally:
        clock.over = True
        broker.remove()


def _published(bus: KafkaBus, process: psutil.Process, broker: KafkaBroker) -> tuple[float, float]:
    before_s, before_bytes = _cpu_s(process), _kept_bytes(broker)
    _publish(bus, _EVENTS)
    used_us = (_cpu_s(process) - before_s) * 1e6 / _EVENTS
    return used_us, (_kept_bytes(broker) - before_bytes) / _EVENTS


def _publish(bus: KafkaBus, number: int) -> None:
    for each in range(number):
        bus.publish(message(each))


def _heard(bus: KafkaBus, heard: list[int], number: int) -> None:
    """Publish so many, and return when all have heard them."""
    goal = [it + number for it in heard]
    _publish(bus, number)
    until(lambda: all(it >= to for it, to in zip(heard, goal, strict=True)))


def _listen(broker: KafkaBroker, clock: Clock, heard: list[int], place: int) -> None:
    ready = threading.Event()

    def read() -> None:
        bus = KafkaBus(broker.address, clock=clock)
        for _ in bus.subscribe(_TOPICS, on_positioned=ready.set):
            heard[place] += 1

    threading.Thread(target=read, daemon=True).start()
    ready.wait(60)


def _idle(process: psutil.Process) -> float:
    before_s = _cpu_s(process)
    time.sleep(_IDLE_S)
    return (_cpu_s(process) - before_s) / _IDLE_S * 1e6


def _process_of(broker: KafkaBroker) -> psutil.Process:
    """Return the Java process, which may be a child of what was started."""
    family = [it for it in psutil.Process().children(recursive=True) if "java" in it.name()]
    (found,) = [it for it in family if it.cwd() == str(broker.folder.path)]
    return found


def _kept_bytes(broker: KafkaBroker) -> int:
    logs = Path(broker.folder.path).rglob(f"{SESSION_UPDATED}-*/*.log")
    return sum(it.stat().st_size for it in logs)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
