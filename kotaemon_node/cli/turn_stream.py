"""Asks one question and reads its frames; goes on where it was when the pod that answered dies."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import requests

from kotaemon_node.cli.service import Place, ServiceError, checked, unreachable

Frame = dict[str, Any]

# Three missed heartbeats of a running turn (2 s each), and some patience.
_SILENCE_S = 10.0
_CONNECT_S = 5.0
_PAUSE_S = 0.3
_TRIES_MAX = 40
"""Tries in a row without a new frame: about the time in which a lost pod is replaced."""
_RETRIED = (429, 502, 503)
_NOT_FOUND = 404


class TurnStream:
    """Frames of one turn, each exactly once, whatever dies in between."""

    def __init__(self, place: Place, *, session_id: str, turn_id: str, message: str) -> None:
        self._turns = f"{place.url}/v1/sessions/{session_id}/turns"
        self._auth = place.auth
        self._turn_id = turn_id
        self._message = message
        self._last_seq = 0
        self._ended = False

    def __iter__(self) -> Iterator[Frame]:
        """Yield the numbered frames up to ``done`` or ``error``; ``ServiceError`` when lost."""
        tries = 0
        while not self._ended:
            before = self._last_seq
            with suppress(requests.RequestException):
                yield from self._frames(self._open())
            if self._ended:
                return
            tries = 1 if self._last_seq > before else tries + 1
            if tries > _TRIES_MAX:
                raise ServiceError(unreachable(self._turns))
            time.sleep(_PAUSE_S)

    def _open(self) -> requests.Response:
        """Ask, or ask for what is missing. The turn's id makes asking twice harmless."""
        headers = {"Accept": "text/event-stream"}
        options: dict[str, Any] = {"stream": True, "timeout": (_CONNECT_S, _SILENCE_S)}
        options["auth"] = self._auth
        if self._last_seq:
            headers["Last-Event-ID"] = f"{self._turn_id}:{self._last_seq}"
            response = requests.get(
                f"{self._turns}/{self._turn_id}/stream", headers=headers, **options
            )
        else:
            body = {"message": self._message, "turn_id": self._turn_id}
            response = requests.post(self._turns, json=body, headers=headers, **options)
        if response.status_code in _RETRIED:
            response.close()
            raise requests.ConnectionError(f"status {response.status_code}")
        return checked(response)

    def _frames(self, response: requests.Response) -> Iterator[Frame]:
        with response:
            for line in response.iter_lines():
                if not line.startswith(b"data:"):
                    continue
                frame: Frame = json.loads(line[5:])
                seq = frame.get("seq")
                if seq is None:
                    if frame["type"] == "error":
                        raise ServiceError(frame["message"])
                    return  # ``reconnect``: this pod is leaving
                if seq <= self._last_seq:
                    continue
                self._last_seq = seq
                self._ended = frame["type"] in ("done", "error")
                yield frame
