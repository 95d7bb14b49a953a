"""The intent service port over HTTP: ``POST INTENT_URL``, one request a message, never repeated.

Asked: ``{"text", "language", "session_id", "topic", "previous", "slots", "intents"}``. Answered:
``{"intent": "query_order", "confidence": 0.93, "slots": {"order_id": "1003"}}``, ``"intent": null``
for none; or in the form of Rasa's ``/model/parse``: ``{"intent": {"name", "confidence"},
"entities": [{"entity", "value"}]}``.
"""

import http.client
import json
import math
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.language import language_of
from kotaemon_node.ports.intents import IntentContext, IntentServiceFailed, Recognition
from kotaemon_node.ports.runtime import StopSignal
from kotaemon_node.ports.traces import outgoing

_NONE: Final = frozenset({None, "", "none", "nlu_fallback"})
"""What stands for no intent; the last is Rasa's name for being unsure."""


class HttpIntentService:
    """``ports.intents.IntentService``; blocking calls, for threads and for greenlets."""

    def __init__(
        self, url: str, *, key: str = "", timeout_s: float = limits.INTENT_SERVICE_TIMEOUT_S
    ) -> None:
        """Raises ``ValueError``."""
        address = urlsplit(url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ValueError("INTENT_URL must look like http://host:port/path")
        key = key.strip()  # keys from files end with a line break
        if not (key.isascii() and (key.isprintable() or not key)):
            raise ValueError("INTENT_API_KEY holds a character that a header cannot carry")
        self._secure = address.scheme == "https"
        self._host, self._port = address.hostname, address.port
        self._path = (address.path or "/") + (f"?{address.query}" if address.query else "")
        self._key = key
        self._timeout_s = timeout_s

    @property
    def name(self) -> str:
        """See the port."""
        return self._host

    def ask(self, text: str, *, context: IntentContext, stop: StopSignal) -> Recognition:
        """See the port."""
        body = json.dumps(_asked(text, context)).encode("utf-8", "replace")
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        line = kind(self._host, self._port, timeout=self._timeout_s)
        held: list[socket.socket] = []
        late = threading.Event()

        def hang_up() -> None:
            for opened in held:
                with suppress(OSError):  # it ended by itself just now
                    opened.shutdown(socket.SHUT_RDWR)

        def run_out() -> None:
            late.set()
            hang_up()

        # A server that drips would be waited for as long as it likes: each wait is short.
        timer = threading.Timer(self._timeout_s, run_out)
        timer.daemon = True
        timer.start()
        try:
            line.connect()
            held.append(line.sock)  # the line forgets it where the server is to close it
            with stop.breaking_off(hang_up):
                status, answer = self._exchanged(line, body)
        except (OSError, http.client.HTTPException) as error:
            # Without the address, which is nobody's business outside.
            raise IntentServiceFailed(
                "the intent service cannot be reached, or did not answer in time"
            ) from error
        finally:
            timer.cancel()
            line.close()
        if late.is_set():
            raise IntentServiceFailed("the intent service takes too long")
        if status != http.client.OK:
            raise IntentServiceFailed(f"the intent service answered {status}")
        return _recognition(answer)

    def _exchanged(self, line: http.client.HTTPConnection, body: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", **outgoing()}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        line.request("POST", self._path, body, headers)
        response = line.getresponse()
        answer = response.read(limits.INTENT_ANSWER_BYTES_MAX + 1)
        if len(answer) > limits.INTENT_ANSWER_BYTES_MAX:
            raise IntentServiceFailed("the intent service's answer is too long")
        return response.status, answer


def _asked(text: str, context: IntentContext) -> Mapping[str, Any]:
    text = text[: limits.INTENT_CHARS_MAX]
    return {
        "text": text,
        "language": language_of(text),
        "session_id": context.caller.session_id,
        "topic": context.topic,
        "previous": list(context.previous),
        "slots": dict(context.caller.slots),
        "intents": None if context.allowed is None else sorted(context.allowed),
    }


def _recognition(answer: bytes) -> Recognition:
    """Return what an answer says. Raises ``IntentServiceFailed`` where it has another form."""
    try:
        told = json.loads(answer)
        intent, confidence = _named(told["intent"], told)
        slots = _bounded(told.get("slots") or _of_entities(told.get("entities") or ()))
        return Recognition(
            intent,
            confidence,
            slots=slots,
            by="service",
            candidates=((intent, confidence),) if intent else (),
        )
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError) as error:
        raise IntentServiceFailed("the intent service's answer has another form") from error


def _named(intent: Any, told: Mapping[str, Any]) -> tuple[str | None, float]:
    nested = isinstance(intent, dict)
    name = intent.get("name") if nested else intent
    said = intent.get("confidence") if nested else told.get("confidence")
    if name in _NONE:
        return None, 0.0
    # A service that names an intent and no confidence is sure.
    confidence = 1.0 if said is None else float(said)
    if not isinstance(name, str) or len(name) > limits.INTENT_NAME_CHARS_MAX:
        raise TypeError("intent")
    if not math.isfinite(confidence):
        raise ValueError("confidence")
    return name, min(max(confidence, 0.0), 1.0)


def _of_entities(entities: Any) -> dict[str, Any]:
    return {str(it["entity"]): it["value"] for it in entities}


def _bounded(slots: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what a session could not keep. Raises ``AttributeError`` where it is no object."""
    kept = {}
    for name, value in list(slots.items())[: limits.STATE_SLOTS_MAX]:
        small = len(json.dumps(value)) <= limits.STATE_VALUE_BYTES_MAX
        if len(name) <= limits.STATE_NAME_CHARS_MAX and small and value is not None:
            kept[name] = value
    return kept
