"""A small server that speaks the contract of the page's routes, with faults on demand.

It exists so that a test can cut a stream at an exact frame or put hostile text into an answer. What
the real pods do is proved by ``test_page_cluster.py`` on a real cluster.
"""

import json
import re
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.browser.stub_handoff import hand_back, hand_off, waiting
from tests.browser.stub_turns import Script, StubTurn
from tests.browser.stub_wire import CSP, TYPES, blocks, cluster_of, event_of

WEB = Path(__file__).parents[2] / "kotaemon_node" / "web"


class Stub:
    """The server and what it knows. ``requests``: method, path and headers of all it was asked."""

    def __init__(self) -> None:
        self.sessions: dict[str, list[StubTurn]] = {}
        self.scripts: dict[str, Script] = {}
        self.documents: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.ratings: dict[str, str] = {}
        self.comments: dict[str, str] = {}
        self.handoffs: dict[str, dict[str, Any]] = {}
        self.pending: dict[str, Any] | None = None
        self.refusals: list[tuple[str, str, int, dict[str, Any]]] = []
        self.default = Script(pieces=("I don't know.",))
        self.mints_ids = self.has_examples = False
        self.summarise_after_cut = self.repeats_frames = False
        self.streams = 0
        self.session_cuts: list[str] = []
        """Ids of frames after which the stream of a session breaks, once each."""
        self.pods_ready = {"worker-0": True, "worker-1": True, "worker-2": True}
        self.more_routes: Any = ()
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()

    def add_document(self, source: dict[str, Any], *, n: int = 1, **doc: Any) -> dict[str, Any]:
        """Keep a source and return the entry of ``docs`` that points to it."""
        url = f"/v1/sources/default/3/p{n}"
        self.documents[url] = {"kb": "default", "generation": 3, **source}
        return {
            "id": f"p{n}", "n": n, "title": source["title"], "document": source["document"],
            "revision": source["revision"], "page": None, "heading": [], "span": source["span"],
            "kb": "default", "generation": 3, "url": url, **doc,
        }  # fmt: skip

    def refuse(self, method: str, pattern: str, status: int, **error: Any) -> None:
        """Answer the next request that fits with an error."""
        self.refusals.append((method, pattern, status, error))

    def begin(self, sid: str, turn_id: str, message: str) -> StubTurn:
        """Start a turn, or return the one of this id."""
        with self.lock:
            turns = self.sessions.setdefault(sid, [])
            for turn in turns:
                if turn.turn_id == turn_id:
                    return turn
            script = self.scripts.get(message, self.default)
            if sid in self.handoffs:
                turns.append(waiting(turn_id, message))
                return turns[-1]
            turn = StubTurn(turn_id, message, script, cuts=list(script.cuts))
            turns.append(turn)
        threading.Thread(target=turn.run, daemon=True).start()
        return turn

    def asked(self, method: str, pattern: str) -> list[tuple[str, str, dict[str, str]]]:
        """The requests so far that fit."""
        return [r for r in self.requests if r[0] == method and re.search(pattern, r[1])]


def _handler(stub: Stub) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        world = stub

    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: Stub
    pod = "worker-0"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._route("GET")

    def do_POST(self) -> None:
        self._route("POST")

    def do_PUT(self) -> None:
        self._route("PUT")

    def do_DELETE(self) -> None:
        self._route("DELETE")

    def _route(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.raw = self.rfile.read(length)
        body = json.loads(self.raw) if self.raw[:1] == b"{" else {}
        path = urlsplit(self.path).path
        self.world.requests.append((method, self.path, dict(self.headers)))
        for index, (verb, pattern, status, error) in enumerate(self.world.refusals):
            if verb == method and re.search(pattern, path):
                del self.world.refusals[index]
                self._error(status, **error)
                return
        for verb, pattern, act in (*self.world.more_routes, *_ROUTES):
            match = re.fullmatch(pattern, path)
            if verb == method and match:
                # A page that closes leaves in the middle of an answer.
                with suppress(ConnectionError):
                    act(self, *match.groups(), body=body)
                return
        self._error(404, code="not_found")

    def _file(self, name: str = "index.html", *, body: Any) -> None:
        file = (WEB / name).resolve()
        if not file.is_file() or WEB not in file.parents:
            self._error(404, code="not_found")
            return
        content = file.read_bytes()
        if name == "index.html" and self.world.has_examples:
            content = content.replace(b"<html", b"<html data-examples", 1)
        self._send(200, content, TYPES[file.suffix])

    def _create(self, *, body: Any) -> None:
        sid = f"minted-{len(self.world.sessions)}"
        self.world.sessions[sid] = []
        self._json(201, {"session_id": sid, "epoch": "e", "version": 0, "created_at": time.time()})

    def _list(self, *, body: Any) -> None:
        query = {k: int(v[0]) for k, v in parse_qs(urlsplit(self.path).query).items()}
        rows = [
            {"session_id": sid, "created_at": time.time() - 7200, "active_at": time.time() - 600,
             "version": len(turns), "title": turns[0].message[:60] if turns else ""}
            for sid, turns in reversed(self.world.sessions.items())
        ]  # fmt: skip
        end = query["offset"] + query["limit"]
        more = end if end < len(rows) else None
        self._json(200, {"sessions": rows[query["offset"] : end], "next_offset": more})

    def _session(self, sid: str, *, body: Any) -> None:
        if sid not in self.world.sessions:
            self._error(404, code="session_not_found")
            return
        turns = [turn.view(n) for n, turn in enumerate(self.world.sessions[sid], start=1)]
        done = [turn for turn in turns if turn["version"]]
        self._json(
            200, {"session_id": sid, "epoch": "e", "version": len(done), "turns": turns,
                  "feedback": self.world.ratings, "handoff": self.world.handoffs.get(sid),
                  "pending": self.world.pending}
        )  # fmt: skip

    def _delete(self, sid: str, *, body: Any) -> None:
        known = self.world.sessions.pop(sid, None)
        self._send(204 if known is not None else 404, b"", "application/json")

    def _turns(self, sid: str, *, body: Any) -> None:
        if self.world.mints_ids and sid not in self.world.sessions:
            self._error(404, code="session_not_found")
            return
        self._stream(self.world.begin(sid, body["turn_id"], body["message"]), after=0)

    def _turn(self, sid: str, tid: str, *, body: Any) -> None:
        turn = self._find(sid, tid)
        if turn:
            self._json(200, turn.view(1))

    def _follow(self, sid: str, tid: str, *, body: Any) -> None:
        turn = self._find(sid, tid)
        if turn and self.world.summarise_after_cut:
            self._summary(turn)
        elif turn:
            seen = int(self.headers.get("Last-Event-ID", ":0").split(":")[1])
            self._stream(turn, after=0 if self.world.repeats_frames else seen)

    def _follow_session(self, sid: str, *, body: Any) -> None:
        turns = self.world.sessions.get(sid)
        if turns is None:
            self._error(404, code="session_not_found")
            return
        last_id = self.headers.get("Last-Event-ID", "")
        if last_id:
            turn_id, _, seq = last_id.rpartition(":")
            place, after = [turn.turn_id for turn in turns].index(turn_id), int(seq)
        else:
            place, after = int(parse_qs(urlsplit(self.path).query)["after_version"][0]), 0
        self.pod = "worker-2"
        self._head(200, "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._chunk(b": beat\n\n")
        while self.world.sessions.get(sid) is turns:
            if place == len(turns):
                self._chunk(b": beat\n\n")  # also finds out that the reader has left
                time.sleep(0.02)
                continue
            if not self._told(turns[place], after):
                self.close_connection = True  # without the closing chunk: a broken connection
                return
            place, after = place + 1, 0
        self._chunk(event_of({"type": "error", "code": "gone", "message": "", "retryable": False}))
        self._chunk(b"")

    def _told(self, turn: StubTurn, after: int) -> bool:
        """Tell a turn to its end; False when the connection is to break in the middle."""
        if turn.state == "running" or len(turn.frames) > after:
            head = {"type": "turn", "turn_id": turn.turn_id, "message": turn.message, **turn.said}
            self._chunk(event_of({**head, "trace_id": turn.trace_id, "state": "running"}))
        for block, seq in blocks(turn, after):
            self._chunk(block)
            if f"{turn.turn_id}:{seq}" in self.world.session_cuts:
                self.world.session_cuts.remove(f"{turn.turn_id}:{seq}")
                return False
        return True

    def _cancel(self, sid: str, tid: str, *, body: Any) -> None:
        turn = self._find(sid, tid)
        if turn:
            turn.end("cancelled")
            self._json(200, turn.view(1))

    def _source(self, *, body: Any) -> None:
        source = self.world.documents.get(urlsplit(self.path).path)
        if source is None:
            self._error(404, code="not_found")
        else:
            self._json(200, source)

    def _rate(self, sid: str, tid: str, *, body: Any) -> None:
        if self._find(sid, tid) is not None:
            self.world.ratings[tid] = body["rating"]
            self.world.comments[tid] = body.get("comment", "")
            self._json(200, {"turn_id": tid, **body, "at": 1.0})

    def _cluster(self, *, body: Any) -> None:
        self._json(200, cluster_of(self.world.pods_ready))

    def _me(self, *, body: Any) -> None:
        self._json(200, {"tenant": "default", "subject": "anonymous", "role": "open"})

    def _find(self, sid: str, tid: str) -> StubTurn | None:
        for turn in self.world.sessions.get(sid, ()):
            if turn.turn_id == tid:
                return turn
        self._error(404, code="turn_not_found")
        return None

    def _begin_stream(self) -> None:
        with self.world.lock:
            self.pod = f"worker-{self.world.streams % 3}"
            self.world.streams += 1
        self._head(200, "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, block: bytes) -> None:
        self.wfile.write(f"{len(block):x}\r\n".encode() + block + b"\r\n")

    def _stream(self, turn: StubTurn, *, after: int) -> None:
        self._begin_stream()
        for block, seq in blocks(turn, after):
            self._chunk(block)
            if seq in turn.cuts:
                turn.cuts.remove(seq)
                if turn.script.cut_when:
                    turn.script.cut_when.wait(timeout=30)
                self.close_connection = True  # without the closing chunk: a broken connection
                return
            if seq is not None and seq == turn.script.mute_after and not turn.muted:
                turn.muted = True
                time.sleep(20)
            if seq is not None and seq == turn.script.leave_after:
                self._chunk(event_of({"type": "reconnect", "retry_ms": 20}))
                break
        self._chunk(b"")

    def _summary(self, turn: StubTurn) -> None:
        with turn.changed:
            turn.changed.wait_for(lambda: turn.state != "running")
        last = turn.frames[-1]
        snapshot = {"type": "snapshot", "content": turn.answer, "last": last["seq"] - 1}
        self._begin_stream()
        self._chunk(event_of({**snapshot, "turn_id": turn.turn_id}))
        self._chunk(event_of(last))
        self._chunk(b"")

    def _head(self, status: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", CSP)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Served-By", self.pod)
        self.send_header("X-Trace-ID", "trace-1")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self._head(status, kind)
        self.send_header("Content-Length", str(len(body)))
        if status >= 400:  # as pods do: a browser keeps a 410 for ever
            self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def _json(self, status: int, value: Any) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _error(self, status: int, *, code: str, retryable: bool = False, **more: Any) -> None:
        error = {"code": code, "message": f"said the stub: {code}", "retryable": retryable}
        self._json(status, {"error": {**error, "trace_id": "trace-1", **more}})


_ID = r"([A-Za-z0-9_.-]+)"
_ROUTES = (
    ("GET", r"/", _Handler._file),
    ("GET", r"/(assets/.+)", _Handler._file),
    ("POST", r"/v1/sessions", _Handler._create),
    ("GET", r"/v1/sessions", _Handler._list),
    ("GET", rf"/v1/sessions/{_ID}", _Handler._session),
    ("GET", rf"/v1/sessions/{_ID}/stream", _Handler._follow_session),
    ("DELETE", rf"/v1/sessions/{_ID}", _Handler._delete),
    ("POST", rf"/v1/sessions/{_ID}/turns", _Handler._turns),
    ("GET", rf"/v1/sessions/{_ID}/turns/{_ID}", _Handler._turn),
    ("GET", rf"/v1/sessions/{_ID}/turns/{_ID}/stream", _Handler._follow),
    ("POST", rf"/v1/sessions/{_ID}/turns/{_ID}/cancel", _Handler._cancel),
    ("POST", rf"/v1/sessions/{_ID}/turns/{_ID}/feedback", _Handler._rate),
    ("POST", rf"/v1/sessions/{_ID}/handoff", hand_off),
    ("POST", rf"/v1/sessions/{_ID}/handback", hand_back),
    ("GET", r"/v1/sources/.+", _Handler._source),
    ("GET", r"/v1/cluster", _Handler._cluster),
    ("GET", r"/v1/me", _Handler._me),
)
