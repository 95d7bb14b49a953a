"""The requests of a connected user, as the page makes them."""

import json

_SSE = "Accept: text/event-stream\r\n"


def new_session() -> bytes:
    """Make a session."""
    return _post("/v1/sessions", {}, "Accept: application/json\r\n")


def follow(session_id: str, last_id: str) -> bytes:
    """Follow all that happens in it, behind an event."""
    come_back = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
    return (
        f"GET /v1/sessions/{session_id}/stream?after_version=0 HTTP/1.1\r\nHost: soak\r\n"
        f"{_SSE}{come_back}\r\n"
    ).encode()


def go_on(session_id: str, turn_id: str, last_id: str) -> bytes:
    """Read the rest of a turn behind a frame."""
    return (
        f"GET /v1/sessions/{session_id}/turns/{turn_id}/stream HTTP/1.1\r\nHost: soak\r\n"
        f"{_SSE}Last-Event-ID: {last_id}\r\n\r\n"
    ).encode()


def ask(session_id: str, turn_id: str, message: str) -> bytes:
    """Ask, and read the answer as it comes."""
    return _post(f"/v1/sessions/{session_id}/turns", {"message": message, "turn_id": turn_id}, _SSE)


def _post(path: str, body: dict[str, str], headers: str) -> bytes:
    sent = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: soak\r\nContent-Type: application/json\r\n"
        f"{headers}Content-Length: {len(sent)}\r\n\r\n"
    )
    return head.encode() + sent
