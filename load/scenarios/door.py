"""The cluster as a program of yours reaches it: one client, its connections and its key."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

import requests
import urllib3

from load.scenarios.watched import Event, Events, Watched, WrongAnswer

_CONNECT_S: Final = 10.0
_SILENT_S: Final = 30.0
"""A turn's stream says every two seconds that it lives."""
_FOLLOWED_SILENT_S: Final = 70.0
"""A session's stream, every twenty."""
_SHOWN_CHARS: Final = 120


class Refused(Exception):
    """An answer of another status than was wanted."""


class Unreachable(Exception):
    """The connection failed, or was cut where nobody cut it."""


@dataclass(slots=True)
class Timed:
    """How long a turn took, in seconds since it was asked; 0.0: it never came."""

    asked_s: float = field(default_factory=time.perf_counter)
    first_s: float = 0.0
    whole_s: float = 0.0
    served_by: str = ""


class Door:
    """One client. ``headers`` go with each request."""

    def __init__(self, url: str, *, api_key: str = "") -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        if api_key:
            self._session.headers["Authorization"] = f"Bearer {api_key}"

    def close(self) -> None:
        """End its connections."""
        self._session.close()

    def new_session(self, user: str = "") -> str:
        """Make a session and return its id."""
        body = {"user_id": user} if user else {}
        made = self._json("POST", "/v1/sessions", wanted=(200, 201), json=body)
        return str(made["session_id"])

    def session(self, session_id: str) -> Mapping[str, Any]:
        """Read a session with its turns."""
        return self._json("GET", f"/v1/sessions/{session_id}", params={"limit": "200"})

    def source(self, doc: Mapping[str, Any]) -> Mapping[str, Any]:
        """Open what an answer cites."""
        return self._json("GET", str(doc["url"]))

    def remove(self, session_id: str) -> None:
        """Forget a session: its streams end at once."""
        self._json("DELETE", f"/v1/sessions/{session_id}", wanted=(204,))

    def ask(
        self,
        session_id: str,
        message: str,
        watched: Watched,
        *,
        turn_id: str,
        timed: Timed,
        until: Callable[[Watched], bool] = lambda watched: False,
    ) -> None:
        """Run a turn and watch its stream, to its end or until ``until``; then the line is cut."""
        address = f"{self._url}/v1/sessions/{session_id}/turns"
        body = {"message": message, "turn_id": turn_id}
        self._watch("POST", address, watched, timed, until, json=body)

    def come_back(
        self, session_id: str, watched: Watched, *, turn_id: str, timed: Timed, url: str = ""
    ) -> None:
        """Watch the rest of a turn; ``url``: of another door to the same cluster."""
        base = url.rstrip("/") or self._url
        address = f"{base}/v1/sessions/{session_id}/turns/{turn_id}/stream"
        headers = {"Last-Event-ID": watched.last_id} if watched.last else {}
        self._watch("GET", address, watched, timed, lambda _: False, headers=headers)

    def follow(
        self, session_id: str, last_id: str, connected: Callable[[], None]
    ) -> Iterator[Event]:
        """Yield what happens in a session, until its stream ends."""
        address = f"{self._url}/v1/sessions/{session_id}/stream"
        headers = {"Last-Event-ID": last_id} if last_id else {}
        with closing(
            self._stream(
                "GET", address, silent_s=_FOLLOWED_SILENT_S, headers=headers,
                params={"after_version": "0"},
            )
        ) as answer:  # fmt: skip
            connected()
            for received in _pieces(answer):
                yield from received

    def _watch(
        self,
        method: str,
        address: str,
        watched: Watched,
        timed: Timed,
        until: Callable[[Watched], bool],
        **request: Any,
    ) -> None:
        with closing(self._stream(method, address, silent_s=_SILENT_S, **request)) as answer:
            timed.served_by = answer.headers.get("X-Served-By", "")
            for events in _pieces(answer):
                for event in events:
                    if event.type == "reconnect":
                        raise Unreachable("the pod is leaving")
                    watched.take(event)
                    if watched.text and not timed.first_s:
                        timed.first_s = time.perf_counter() - timed.asked_s
                    if watched.end is not None:
                        timed.whole_s = time.perf_counter() - timed.asked_s
                        return
                    if until(watched):
                        return
        raise Unreachable("a stream ended before its turn")

    def _stream(
        self, method: str, address: str, *, silent_s: float, **request: Any
    ) -> requests.Response:
        headers = {"Accept": "text/event-stream", **request.pop("headers", {})}
        try:
            answer = self._session.request(
                method, address, headers=headers, stream=True,
                timeout=(_CONNECT_S, silent_s), **request,
            )  # fmt: skip
        except requests.RequestException as error:
            raise Unreachable(_kind(error)) from error
        if answer.status_code != 200:
            with closing(answer):
                raise _refused(answer)
        return answer

    def _json(
        self, method: str, path: str, *, wanted: Sequence[int] = (200,), **request: Any
    ) -> Mapping[str, Any]:
        try:
            answer = self._session.request(
                method, self._url + path, headers={"Accept": "application/json"},
                timeout=(_CONNECT_S, _FOLLOWED_SILENT_S), **request,
            )  # fmt: skip
        except requests.RequestException as error:
            raise Unreachable(_kind(error)) from error
        if answer.status_code not in wanted:
            raise _refused(answer)
        if answer.status_code == 204:
            return {}
        found = answer.json()
        if not isinstance(found, dict):
            raise WrongAnswer("an answer is no JSON object")
        return found


def new_id() -> str:
    """Return an id for a turn."""
    return uuid.uuid4().hex


def _pieces(answer: requests.Response) -> Iterator[Iterator[Event]]:
    events = Events()
    try:
        for received in answer.raw.stream(65_536, decode_content=True):
            yield events.feed(received)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unreachable(_kind(error)) from error


def _refused(answer: requests.Response) -> Refused:
    """Return what is counted: alike for all that was refused for the same reason."""
    try:
        code = str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        code = answer.text[:_SHOWN_CHARS]
    return Refused(f"{answer.status_code} {code}")


def _kind(error: Exception) -> str:
    """Name an error without addresses and ids: what is alike is to be counted as one."""
    return f"the connection failed ({type(error).__name__})"
