"""The terminal's chat reads each frame once, however often the connection breaks."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kotaemon_node.cli import turn_stream
from kotaemon_node.cli.service import Place, ServiceError
from kotaemon_node.cli.turn_stream import TurnStream

Frame = dict[str, Any]

FRAMES: list[Frame] = [
    {"type": "status", "seq": 1, "phase": "retrieval"},
    {"type": "text", "seq": 2, "content": "Within "},
    {"type": "text", "seq": 3, "content": "30 days. [1]"},
    {"type": "done", "seq": 4, "state": "done"},
]


@dataclass
class Script:
    """What the cluster does with each request in turn; the last act is repeated."""

    acts: list[list[Frame] | int] = field(default_factory=list)
    """Frames to send before the connection ends, or a status to refuse with."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Method and ``Last-Event-ID`` of each request."""
    bodies: list[dict[str, Any]] = field(default_factory=list)


def _handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            script.bodies.append(json.loads(self.rfile.read(length)))
            self.do_GET()

        def do_GET(self) -> None:
            script.asked.append((self.command, self.headers["Last-Event-ID"]))
            act = script.acts.pop(0) if len(script.acts) > 1 else script.acts[0]
            if isinstance(act, int):
                body = json.dumps({"error": {"message": "no such turn"}}).encode()
                self.send_response(act)
                self.end_headers()
                self.wfile.write(body)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b": heartbeat\n\n")
            for frame in act:
                event = f"id: t:{frame.get('seq')}\nevent: {frame['type']}\ndata: "
                self.wfile.write(event.encode() + json.dumps(frame).encode() + b"\n\n")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@dataclass
class ScriptedCluster:
    url: str
    script: Script

    def ask(self) -> list[Frame]:
        return list(TurnStream(Place(self.url), session_id="s", turn_id="t", message="How long?"))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedCluster]:
    monkeypatch.setattr(turn_stream, "_PAUSE_S", 0.0)
    script = Script()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(script)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield ScriptedCluster(f"http://127.0.0.1:{server.server_port}", script)
        server.shutdown()


def test_a_whole_stream_is_asked_for_once(cluster: ScriptedCluster) -> None:
    cluster.script.acts = [FRAMES]

    assert cluster.ask() == FRAMES
    assert cluster.script.asked == [("POST", None)]
    assert cluster.script.bodies == [{"message": "How long?", "turn_id": "t"}]


def test_a_stream_that_breaks_goes_on_behind_the_last_frame(cluster: ScriptedCluster) -> None:
    cluster.script.acts = [FRAMES[:2], [], FRAMES[2:]]

    assert cluster.ask() == FRAMES
    assert cluster.script.asked == [("POST", None), ("GET", "t:2"), ("GET", "t:2")]


def test_a_frame_that_is_sent_again_is_shown_once(cluster: ScriptedCluster) -> None:
    cluster.script.acts = [FRAMES[:3], FRAMES[1:]]

    assert cluster.ask() == FRAMES


def test_a_pod_that_leaves_is_left(cluster: ScriptedCluster) -> None:
    leaving: Frame = {"type": "reconnect", "seq": None, "retry_ms": 500}
    cluster.script.acts = [[*FRAMES[:2], leaving], FRAMES[2:]]

    assert cluster.ask() == FRAMES


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_cluster_that_is_busy_or_starting_is_asked_again(
    cluster: ScriptedCluster, status: int
) -> None:
    cluster.script.acts = [status, FRAMES]

    assert cluster.ask() == FRAMES
    assert [body["turn_id"] for body in cluster.script.bodies] == ["t", "t"]


def test_a_refusal_is_told_in_the_clusters_words(cluster: ScriptedCluster) -> None:
    cluster.script.acts = [404]

    with pytest.raises(ServiceError, match="404: no such turn"):
        cluster.ask()


def test_a_cluster_that_stays_away_is_given_up(cluster: ScriptedCluster) -> None:
    cluster.script.acts = [503]

    with pytest.raises(ServiceError, match="No cluster answers"):
        cluster.ask()
