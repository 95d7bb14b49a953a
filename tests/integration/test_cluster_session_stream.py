"""Following a session through HAProxy, on another connection than the one that asks."""

import json
import threading
from contextlib import ExitStack, suppress
from typing import Any, Self

import requests

from tests.turn_cluster import QUESTION, TurnCluster, new_id


class Device:
    """A client that follows a session and comes back, as a browser does, whenever it is cut."""

    def __init__(self, base: str, session_id: str) -> None:
        self._address = f"{base}/v1/sessions/{session_id}/stream"
        self._last_id = ""
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self.connected = 0
        self.served_by: list[str] = []
        self.refused: list[int] = []
        self.frames: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing a stream that somebody reads waits for its next heartbeat; its end comes at once.
        self._leaving.set()
        requests.delete(self._address.removesuffix("/stream"), timeout=30)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _follow(self) -> None:
        while not self._leaving.is_set():
            with suppress(requests.RequestException):  # cut by the kill
                self._one_connection()
            self._leaving.wait(0.1)

    def _one_connection(self) -> None:
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        with requests.get(self._address, headers=headers, stream=True, timeout=30) as answer:
            if answer.status_code != 200:
                self.refused.append(answer.status_code)
                return
            self.served_by.append(answer.headers.get("X-Served-By", ""))
            event: dict[str, str] = {}
            for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
                if line.startswith(":"):
                    self.connected = len(self.served_by)
                elif line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif event:
                    self._last_id = event.get("id", self._last_id)
                    self.frames.append(json.loads(event["data"]))
                    event = {}

    def of(self, turn_id: str) -> list[dict[str, Any]]:
        """Return the numbered frames of a turn."""
        return [one for one in self.frames if one.get("turn_id") == turn_id and "seq" in one]

    def ended(self, turn_id: str) -> bool:
        return any(frame["type"] in {"done", "error"} for frame in self.of(turn_id))


def whole(running: TurnCluster, session_id: str, turn_id: str) -> list[dict[str, Any]]:
    """Return the frames as the turn's own stream tells them."""
    address = f"{running.url}/v1/sessions/{session_id}/turns/{turn_id}/stream"
    lines = requests.get(address, timeout=60).content.decode().splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


def asked(running: TurnCluster, session_id: str, message: str = QUESTION) -> str:
    """Post a question that nobody waits for; returns the id of its turn."""
    turn_id = new_id("t")
    address = f"{running.url}/v1/sessions/{session_id}/turns"
    body = {"turn_id": turn_id, "message": message}
    with requests.post(
        address, json=body, headers={"Accept": "text/event-stream"}, stream=True, timeout=60
    ) as answer:
        assert answer.status_code == 200, answer.text
    return turn_id


def test_a_second_connection_follows_also_when_its_pod_is_killed(running: TurnCluster) -> None:
    session_id = new_id("s")
    first = asked(running, session_id)
    until = running.cluster.wait_until
    until(lambda: _state(running, session_id, first) == "done", what="the first turn is over")
    with Device(running.url, session_id) as device:
        until(lambda: device.connected == 1, what="the session is followed")

        # A question on another connection comes with its text, piece by piece.
        second = asked(running, session_id)
        until(lambda: len(_texts(device, second)) >= 3, what="the answer has begun")
        assert not device.ended(second)

        # The pod that serves the stream is killed; it may be the one that answers, too.
        running.cluster.kill(device.served_by[0])
        third = asked(running, session_id, "And to Malaysia?")
        until(lambda: device.ended(third), what="both turns are told to their end")

        assert len(device.served_by) > 1
        assert device.served_by[1] != device.served_by[0]
        for turn_id in (second, third):
            assert device.of(turn_id) == whole(running, session_id, turn_id)
        answer = "".join(_texts(device, second))
        assert answer == device.of(second)[-1]["answer"] != ""
        assert device.of(first) == []
        announced = [frame for frame in device.frames if frame["type"] == "turn"]
        assert {frame["turn_id"]: frame["message"] for frame in announced} == {
            second: QUESTION,
            third: "And to Malaysia?",
        }
        assert device.refused == []

        # A session that is deleted says so.
        requests.delete(f"{running.url}/v1/sessions/{session_id}", timeout=30)
        until(lambda: device.frames[-1]["type"] == "error", what="the stream says that it ends")
        assert device.frames[-1]["code"] == "gone"
        assert "seq" not in device.frames[-1]


def test_every_pod_serves_every_session(running: TurnCluster) -> None:
    running.cluster.wait_ready()
    session_id = new_id("s")
    asked(running, session_id)
    with ExitStack() as stack:
        devices = [
            stack.enter_context(Device(running.cluster.pod_url(name), session_id))
            for name in running.workers()
        ]
        running.cluster.wait_until(
            lambda: all(device.connected for device in devices), what="all of them follow"
        )
        turn_id = asked(running, session_id)
        running.cluster.wait_until(
            lambda: all(device.ended(turn_id) for device in devices), what="all were told its end"
        )
        expected = whole(running, session_id, turn_id)
        assert [device.of(turn_id) for device in devices] == [expected] * len(devices)


def _state(running: TurnCluster, session_id: str, turn_id: str) -> str:
    address = f"{running.url}/v1/sessions/{session_id}/turns/{turn_id}"
    return str(requests.get(address, timeout=30).json()["state"])


def _texts(device: Device, turn_id: str) -> list[str]:
    return _texts_of(device.of(turn_id))


def _texts_of(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["content"] for frame in frames if frame["type"] == "text"]
