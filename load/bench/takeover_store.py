"""What Redis holds of a turn at a moment, and the moment at which Redis did something.

A kill falls between two steps of a turn. Which ones, only the store can tell: the dead pod writes
no more, so what is there right after the kill is what it had stored.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Self

import redis

from kotaemon_node.adapters.redis import keys
from kotaemon_node.domain.events import SESSION_UPDATED
from kotaemon_node.domain.session import TurnKey

_TIMEOUT_S = 5.0
_RECEIVE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn as the store has it."""

    state: Literal["unknown", "queued", "running", "committed"]
    owner: str
    """Incarnation; empty when nobody runs it."""
    attempts: int
    last_seq: int
    indexed: bool
    """It stands in the index of running turns: its event may not have been sent."""

    @property
    def pod(self) -> str:
        """Name of the owner."""
        return self.owner.partition(".")[0]


class StoreView:
    """Reads beside the pods; writes nothing."""

    def __init__(self, port: int) -> None:
        """``port``: of a Redis on this machine."""
        self._port = port
        self._redis = redis.Redis(port=port, socket_timeout=_TIMEOUT_S)

    def __enter__(self) -> Self:
        self._redis.ping()
        return self

    def __exit__(self, *_: object) -> None:
        self._redis.close()

    def look(self, turns: Sequence[TurnKey]) -> list[StoredTurn]:
        """Return all of them as they were at one moment, in one round trip."""
        pipe = self._redis.pipeline(transaction=True)
        for key in turns:
            names = keys.SessionKeys.of(key.session)
            pipe.hmget(names.turn(key.turn_id), "state", "owner", "attempts")
            pipe.hget(names.seen, key.turn_id)
            pipe.xrevrange(names.frames(key.turn_id), count=1)
            pipe.zscore(*keys.running(key))
        found = pipe.execute()
        rows = zip(found[::4], found[1::4], found[2::4], found[3::4], strict=True)
        return [_stored(*row) for row in rows]

    def events(self, turns: Sequence[TurnKey]) -> list[int]:
        """Return how many ``session_updated`` each turn has on the bus."""
        sent = [
            fields.get(b"v", b"") for _, fields in self._redis.xrange(keys.bus(SESSION_UPDATED))
        ]
        return [sum(key.turn_id.encode() in event for event in sent) for key in turns]

    @contextmanager
    def watching(self) -> Iterator["CommandWatch"]:
        """Watch what Redis executes; slows it down, so only around a moment to be aimed at."""
        with socket.create_connection(("127.0.0.1", self._port), _TIMEOUT_S) as connection:
            connection.sendall(b"MONITOR\r\n")
            if not connection.recv(_RECEIVE_BYTES).startswith(b"+OK"):
                raise ConnectionError("Redis shows nothing of what it does")
            yield CommandWatch(connection)


class CommandWatch:
    """The commands that Redis executes, those of its scripts too."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""

    def wait_claimed(self, key: TurnKey, *, timeout_s: float) -> bool:
        """Return when a pod became the turn's owner; False when that took too long."""
        name = keys.SessionKeys.of(key.session).turn(key.turn_id).encode()
        return self._wait((b'"HSET" "' + name, b'"running"'), timeout_s=timeout_s)

    def wait_stored(self, key: TurnKey, *, frames: int, timeout_s: float) -> bool:
        """Return when so many more frames of the turn were stored."""
        name = keys.SessionKeys.of(key.session).frames(key.turn_id).encode()
        return all(self._wait((b'"XADD" "' + name,), timeout_s=timeout_s) for _ in range(frames))

    def wait_committed(self, key: TurnKey, *, timeout_s: float) -> bool:
        """Return when the turn went into the history; its event has not been sent then."""
        name = keys.SessionKeys.of(key.session).turns.encode()
        return self._wait((b'"RPUSH" "' + name, key.turn_id.encode()), timeout_s=timeout_s)

    def _wait(self, words: tuple[bytes, ...], *, timeout_s: float) -> bool:
        self._connection.settimeout(timeout_s)
        while True:
            *lines, self._rest = self._rest.split(b"\n")
            for place, line in enumerate(lines):
                if all(word in line for word in words):
                    self._rest = b"\n".join([*lines[place + 1 :], self._rest])
                    return True
            try:
                received = self._connection.recv(_RECEIVE_BYTES)
            except TimeoutError:
                return False
            if not received:
                raise ConnectionError("Redis hung up")
            self._rest += received


def _stored(
    held: Sequence[bytes | None],
    seen: bytes | None,
    newest: Sequence[tuple[bytes, object]],
    entered: float | None,
) -> StoredTurn:
    state, owner, attempts = held
    last_seq = int(newest[0][0].partition(b"-")[0]) if newest else 0
    known: Literal["unknown", "queued", "running", "committed"] = "unknown"
    if seen is not None and b":" in seen:
        known = "committed"
    elif state is not None:
        known = "running" if state == b"running" else "queued"
    return StoredTurn(
        state=known,
        owner=(owner or b"").decode(),
        attempts=int(attempts or 0),
        last_seq=last_seq,
        indexed=entered is not None,
    )
