"""Taking the log of turns from the bus into what keeps it: one batch after the other.

Law 1: the place on the bus moves behind what is kept, never before. So each entry is kept at least
    once, and its ``event_id`` makes of repeats one.
Law 2: what is no entry is told, counted and stepped over: it must not hold up the log for ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
import structlog

from kotaemon_node.domain.errors import MasterKeyMissing, Sealed, Unavailable
from kotaemon_node.domain.events import TURN_LOG_SCHEMA
from kotaemon_node.domain.limits import TURN_SINK_WAIT_S_MAX
from kotaemon_node.engine.sealed_text import opened_text
from kotaemon_node.engine.turn_log import TEXTS, text_place
from kotaemon_node.ports.cipher import FieldCipher, SealedPlace
from kotaemon_node.ports.events import Message
from kotaemon_node.ports.turn_sinks import LogEntry, TurnSink

_log = structlog.get_logger(__name__)


class TurnSinking:
    """What ``TurnLogSource.run`` gives its batches to."""

    def __init__(self, sink: TurnSink, *, cipher: FieldCipher | None = None) -> None:
        """``cipher`` opens the texts of entries; None: they are kept as the bus has them."""
        self._sink = sink
        self._cipher = cipher
        self._came = 0
        self._kept = 0
        self._unreadable = 0
        self._problem = ""

    def told(self) -> dict[str, Any]:
        """Return how it goes: what came, what was kept of it, and why nothing is kept now."""
        return {
            "came": self._came,
            "kept": self._kept,
            "unreadable": self._unreadable,
            "problem": self._problem,
        }

    def take(self, messages: Sequence[Message]) -> None:
        """Keep a batch; raises ``Unavailable``."""
        entries: dict[str, tuple[LogEntry, Message]] = {}
        for message in messages:
            entry = entry_of(message)
            if entry is None:
                self._step_over(message)
            else:
                entries[entry.event_id] = entry, message
        try:
            kept = [
                opened
                for entry, message in entries.values()
                if (opened := self._opened(entry, message)) is not None
            ]
            self._kept += self._sink.keep(kept) if kept else 0
        except Unavailable as error:
            self._problem = str(error)
            raise
        self._came += len(messages)
        self._problem = ""

    def _opened(self, entry: LogEntry, message: Message) -> LogEntry | None:
        """Return an entry with its texts; None where nobody can tell of which turn they are."""
        if self._cipher is None:
            return entry
        try:
            return replace(entry, fields=with_opened_texts(entry.fields, self._cipher))
        except (LookupError, AttributeError, TypeError, ValueError):
            self._step_over(message)
            return None

    def _step_over(self, message: Message) -> None:
        self._unreadable += 1
        _log.error("turn_log_unreadable", key=message.key, size_bytes=len(message.value))


def with_opened_texts(fields: Mapping[str, Any], cipher: FieldCipher) -> dict[str, Any]:
    """Return an entry with its texts in the clear; one whose key was destroyed stays sealed.

    Raises ``Unavailable`` where a key cannot be found out now, or its master key is not known here.
    """
    opened = dict(fields)
    for name in TEXTS:
        text = fields.get(name)
        if isinstance(text, str):
            opened[name] = _opened_text(cipher, text, text_place(fields, name))
    return opened


def _opened_text(cipher: FieldCipher, text: str, place: SealedPlace) -> str:
    try:
        return opened_text(cipher, text, place)
    except MasterKeyMissing as error:
        raise Unavailable(str(error)) from error
    except Sealed as error:
        _log.warning("turn_log_text_stays_sealed", reason=str(error))
        return text


def entry_of(message: Message) -> LogEntry | None:
    """Return what a message says; None for one that none of us has written.

    Raises ``Unavailable`` for one of a newer program: it waits on the bus for whoever knows it.
    """
    try:
        fields = orjson.loads(message.value)
        event_id, at = fields["event_id"], fields["at"]
    except (ValueError, KeyError, TypeError):
        return None
    if fields.get("schema", TURN_LOG_SCHEMA) != TURN_LOG_SCHEMA:
        raise Unavailable(
            f"a turn is logged in schema {fields['schema']!r:.20}, and this program knows"
            f" {TURN_LOG_SCHEMA}: upgrade `kotaemon turn-log` as well"
        )
    if not (isinstance(event_id, str) and event_id and isinstance(at, str)):
        return None
    return LogEntry(event_id, at, fields)


def wait_s(failures: int) -> float:
    """Return how long to wait behind the so many-th failure in a row."""
    return min(TURN_SINK_WAIT_S_MAX, 0.25 * 2.0 ** min(failures, 20))
