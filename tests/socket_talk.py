"""A client of ``/ws/chat`` that keeps what it is told, and goes on elsewhere when it is cut off."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

Frame = dict[str, Any]
_PAUSE_S = 0.1
_TRIES_MAX = 300


def say(client: ClientConnection, kind: str, **fields: Any) -> None:
    """Send one message."""
    client.send(json.dumps({"type": kind, **fields}))


def hear(client: ClientConnection, timeout_s: float = 60.0) -> Frame:
    """Return the next frame. ``TimeoutError``."""
    found: Frame = json.loads(client.recv(timeout=timeout_s))
    return found


def hear_turn(client: ClientConnection) -> list[Frame]:
    """Return frames up to the end of a turn, or of its following."""
    frames = [hear(client)]
    while frames[-1]["type"] not in {"done", "error", "reconnect"}:
        frames.append(hear(client))
    return frames


def text_of(frames: list[Frame]) -> str:
    """Return the text since the last restart."""
    text = ""
    for frame in frames:
        if frame["type"] == "restart":
            text = ""
        elif frame["type"] == "text":
            assert frame["offset"] == len(text)
            text += frame["content"]
    return text


class ResumingTalk:
    """Says one message and hears its turn to the end, over as many connections as it takes."""

    def __init__(self, url: str, *, session_id: str, turn_id: str, text: str) -> None:
        self._url = f"{url.replace('http', 'ws', 1)}/ws/chat?session_id={session_id}"
        self._asked = {"session_id": session_id, "turn_id": turn_id}
        self._text = text
        self.frames: list[Frame] = []
        self.served_by: list[str] = []
        self.codes: list[int | None] = []
        """How each connection ended: the close code, None where there was none."""

    def run(self, *, then: Callable[[Frame], None] = lambda _: None) -> None:
        """Return when the turn has ended; ``then`` is told each frame."""
        pause = threading.Event()
        for _ in range(_TRIES_MAX):
            with suppress(InvalidStatus, OSError, EOFError), self._connected() as client:
                if self._heard(client, then):
                    return
            pause.wait(_PAUSE_S)
        raise AssertionError(f"the turn did not end: {self.codes}")

    def _connected(self) -> ClientConnection:
        client = connect(self._url, close_timeout=1)
        assert client.response is not None
        self.served_by.append(client.response.headers.get("X-Served-By", ""))
        return client

    def _heard(self, client: ClientConnection, then: Callable[[Frame], None]) -> bool:
        after = max((frame.get("seq", 0) for frame in self.frames), default=0)
        if after:
            say(client, "resume", **self._asked, after=after)
        else:
            say(client, "message", **self._asked, text=self._text)
        try:
            while True:
                frame = hear(client)
                if frame["type"] == "reconnect":
                    return False
                self.frames.append(frame)
                then(frame)
                if frame["type"] in {"done", "error"}:
                    return True
        except ConnectionClosed as closed:
            self.codes.append(closed.rcvd.code if closed.rcvd else None)
            return False
