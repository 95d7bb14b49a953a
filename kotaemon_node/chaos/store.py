"""What Redis holds of a turn at a moment, and the moment at which Redis did something.

A kill falls between two steps of a turn. Which ones, only the store can tell: the dead pod writes
no more, so what is there right after the kill is what it had stored.
"""

import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from kotaemon_node.adapters.redis import connect, keys
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.domain.events import SESSION_UPDATED
from kotaemon_node.domain.session import TurnKey

_TIMEOUT_S = 5.0
_RECEIVE_BYTES = 256 * 1024
_POOL_MAX = 8


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
    """Reads beside the pods; writes nothing. ``StoreUnavailable`` where Redis does not answer."""

    def __init__(self, url: str) -> None:
        """``url``: a form of REDIS_URL."""
        self._store = connect(url, pool_max=_POOL_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.client.close()

    def look(self, turns: Sequence[TurnKey]) -> list[StoredTurn]:
        """Return all of them, in one round trip."""

        def fill(pipe: Any) -> None:
            for key in turns:
                names = keys.SessionKeys.of(key.session)
                pipe.hmget(names.turn(key.turn_id), "state", "owner", "attempts")
                pipe.hget(names.seen, key.turn_id)
                pipe.xrevrange(names.frames(key.turn_id), count=1)
                pipe.zscore(*keys.running(key))

        found = self._store.pipelined(fill)
        rows = zip(found[::4], found[1::4], found[2::4], found[3::4], strict=True)
        return [_stored(*row) for row in rows]

    def events(self, turns: Sequence[TurnKey]) -> list[int]:
        """Return how many ``session_updated`` each turn has on the bus."""
        entries = self._store.client.xrange(keys.bus(SESSION_UPDATED))
        sent = [fields.get(b"v", b"") for _, fields in entries]
        return [sum(key.turn_id.encode() in event for event in sent) for key in turns]

    @contextmanager
    def watching(self) -> Iterator["CommandWatch"]:
        """Watch what Redis executes; slows it down, so only around a moment to be aimed at.

        Of a Redis Cluster that is one of its shards, another one each time. ``OSError`` or
        ``StoreUnavailable`` where it cannot be watched.
        """
        with socket.create_connection(self._address(), _TIMEOUT_S) as connection:
            connection.sendall(b"MONITOR\r\n")
            if not connection.recv(_RECEIVE_BYTES).startswith(b"+OK"):
                raise ConnectionError("Redis shows nothing of what it does")
            yield CommandWatch(connection)

    def _address(self) -> tuple[str, int]:
        client = self._store.client
        if hasattr(client, "slots"):
            nodes = client.slots.primaries()
            address: tuple[str, int] = nodes[int(time.monotonic() * 1000) % len(nodes)].address
            return address
        with store_errors():
            connection = client.connection_pool.get_connection()
            client.connection_pool.release(connection)
        return connection.host, connection.port


@dataclass(frozen=True, slots=True)
class Moment:
    """Redis just did something to a session."""

    session: str
    owner: str
    """Name of the pod, where that was seen; else empty."""


# Lines of MONITOR: a string in quotes, its own quotes behind a backslash.
_SESSION = rb'"kn:[^:"]*:\{(?P<session>[^}]+)\}:'
CLAIMED: Final = re.compile(
    rb'"HSET" ' + _SESSION + rb'turn:[^"]*" "state" "running" "owner" "(?P<owner>[^."]+)'
)
TEXT_STORED: Final = re.compile(rb'"XADD" ' + _SESSION + rb'f\w+" "[^"]+" "\d+"')
TOOL_BEGUN: Final = re.compile(rb'"XADD" ' + _SESSION + rb'f\w+" "[^"]+" "tool_call" .*\bstarted\b')
COMMITTED: Final = re.compile(
    rb'"RPUSH" ' + _SESSION + rb'turns" .*\\"owner\\":\\"(?P<owner>[^.\\]+)'
)


class CommandWatch:
    """The commands that Redis executes, those of its scripts too."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""
        self._owners: dict[bytes, bytes] = {}
        """Session to the pod that was seen to claim its turn."""

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

    def next(self, pattern: re.Pattern[bytes], *, timeout_s: float) -> Moment | None:
        """Return the next moment at which a command like this was executed, None: too late."""
        for line in self._lines(timeout_s=timeout_s):
            claimed = CLAIMED.search(line)
            if claimed:
                self._owners[claimed["session"]] = claimed["owner"]
            found = claimed if pattern is CLAIMED else pattern.search(line)
            if found:
                session = found["session"]
                owner = found.groupdict().get("owner") or self._owners.get(session, b"")
                return Moment(session.decode(), owner.decode())
        return None

    def _wait(self, words: tuple[bytes, ...], *, timeout_s: float) -> bool:
        return any(all(word in line for word in words) for line in self._lines(timeout_s=timeout_s))

    def _lines(self, *, timeout_s: float) -> Iterator[bytes]:
        """Yield lines for so long; what a caller leaves is there for the next one."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            while b"\n" in self._rest:
                line, _, self._rest = self._rest.partition(b"\n")
                yield line
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return
            self._connection.settimeout(left_s)
            try:
                received = self._connection.recv(_RECEIVE_BYTES)
            except TimeoutError:
                return
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
