"""How the stub server writes its answers: types of files, frames as events of a stream."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tests.browser.stub_turns import StubTurn

CSP = "default-src 'self'"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


def blocks(turn: StubTurn, after: int) -> Iterator[tuple[bytes, int | None]]:
    """Yield events (with their number) and heartbeats until the turn has ended."""
    sent = after
    while turn.state == "running" or len(turn.frames) > sent:
        fresh = turn.wait_beyond(sent)
        if not fresh:
            yield b": beat\n\n", None
        for frame in fresh:
            sent = frame["seq"]
            yield event_of(frame), sent
            if frame["type"] in {"done", "error"}:
                return


def event_of(frame: dict[str, Any]) -> bytes:
    """Return a frame as an event of a stream."""
    number = f"id: {frame['turn_id']}:{frame['seq']}\n" if "seq" in frame else ""
    return f"{number}event: {frame['type']}\ndata: {json.dumps(frame)}\n\n".encode()


def cluster_of(pods_ready: Mapping[str, bool]) -> dict[str, Any]:
    """Return the state of a cluster of these pods."""
    pods = [
        {"name": name, "ready": ready, "running_turns": 0, "incarnation": name,
         "address": "127.0.0.1:1", "generations": {"default": {"generation": 3, "digest": "d"}}}
        for name, ready in pods_ready.items()
    ]  # fmt: skip
    return {"pods": pods, "converged": True, "since": time.time()}
