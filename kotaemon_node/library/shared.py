"""A talk that is a session of a cluster: its pods and this process go on with the same one."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from kotaemon_node.adapters.redis import (
    RedisDataKeys,
    RedisFrameLog,
    RedisPresence,
    RedisSessionStore,
    RedisStreamsBus,
    connect,
)
from kotaemon_node.adapters.sealing import (
    DataKeyRing,
    MasterKeyLines,
    SealingCipher,
    problem_of_master_key,
)
from kotaemon_node.adapters.system import RandomIds, SystemClock, ThreadTasks
from kotaemon_node.adapters.system.secret_file import SecretLines
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Conflict, DeadlineExceeded, Gone, StoreUnavailable
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.session import Principal, SessionKey, SessionView, Turn, TurnKey
from kotaemon_node.domain.turn import FINISHED
from kotaemon_node.engine.announcing import Announcer
from kotaemon_node.ports.knowledge import PodReport
from kotaemon_node.ports.sessions import ClaimRequest, Committed, Ending, Lease, Work
from kotaemon_node.telemetry.metrics import Metrics

ANYBODY: Final = Principal(DEFAULT_TENANT, "anonymous", "open")
"""Whose sessions are those of a cluster that asks nobody for keys."""
_LOOK_S: Final = 0.2


class OnRedis:
    """``Place`` in the Redis of a cluster, by the rules of its pods."""

    def __init__(
        self,
        url: str,
        session_id: str,
        *,
        head: Mapping[str, Any],
        metrics: Metrics,
        encryption_key_file: Path | None = None,
    ) -> None:
        """Make the session with ``head`` where there is none. Raises ``StoreUnavailable``.

        ``encryption_key_file``: the master keys of a cluster that seals; ``ValueError`` where it
        cannot be used.
        """
        self._clock, self._ids, tasks = SystemClock(), RandomIds(), ThreadTasks()
        self._owner = f"library.{self._ids.new_id()[:12]}"
        cipher = _cipher(url, encryption_key_file, self._clock) if encryption_key_file else None
        self._store = connect(url, cipher=cipher)
        self._sessions = RedisSessionStore(
            self._store,
            ttl_s=limits.SESSION_TTL_S_DEFAULT,
            idle_s=limits.SESSION_IDLE_S_DEFAULT,
        )
        self._presence = RedisPresence(self._store, clock=self._clock)
        self.frames = RedisFrameLog(self._store, clock=self._clock, tasks=tasks)
        self._announcer = Announcer(
            sessions=self._sessions,
            bus=RedisStreamsBus(self._store, clock=self._clock),
            tasks=tasks,
            metrics=metrics,
        )
        self._key = SessionKey(DEFAULT_TENANT, session_id)
        with suppress(Conflict):  # one that is there is gone on with, as it is
            self._sessions.create(self._key, ANYBODY, epoch=self._ids.new_id(), fields=head)

    def view(self) -> SessionView:
        """See the protocol."""
        load = partial(self._sessions.load, self._key, ANYBODY)
        head = load(after_version=0, limit=0)
        return load(after_version=head.summary_to, limit=max(1, head.version - head.summary_to))

    def begin(self, message: str) -> Work:
        """See the protocol; ``Gone`` once where the store has lost something of the session."""
        claim = self._sessions.claim(
            ClaimRequest(
                key=TurnKey(self._key, self._ids.new_id()),
                principal=ANYBODY,
                digest=self._ids.new_id(),
                message=message,
                options={},
                on_busy="reject",
                owner=self._owner,
                trace_id=self._ids.new_id(),
                create_session=True,
                new_epoch=self._ids.new_id(),
            )
        )
        if claim.work is None:  # an id that nobody had before is accepted, or refused by an error
            raise Gone("the turn was accepted by somebody else")
        return claim.work

    def commit(self, lease: Lease, ending: Ending, *, take_next: bool) -> Committed:
        """See the protocol. Turns that wait behind it are left to the cluster's pods."""
        return self._sessions.commit(lease, ending, take_next=False)

    def release(self, lease: Lease) -> None:
        """See the protocol: a pod of the cluster takes it."""
        self._sessions.release(lease)

    def announce(self, work: Work, committed: Committed, turn: Turn) -> None:
        """See the protocol."""
        self._announcer.announce(work, committed, turn)

    @contextmanager
    def owning(self) -> Iterator[None]:
        """See the protocol: pods take turns from owners that have no heartbeat."""
        over = threading.Event()
        # A guest serves nothing: it counts neither for agreement nor among those who stay.
        report = PodReport(
            name="library", incarnation=self._owner, address="", ready=False, able=False, guest=True
        )

        def beat() -> None:
            while not over.is_set():
                with suppress(StoreUnavailable):  # the next one says it
                    self._presence.beat(report, ttl_s=limits.POD_TTL_S)
                over.wait(limits.POD_HEARTBEAT_S)

        beating = threading.Thread(target=beat, name="library heartbeat", daemon=True)
        self._presence.beat(report, ttl_s=limits.POD_TTL_S)
        beating.start()
        try:
            yield
        finally:
            over.set()
            beating.join()
            with suppress(StoreUnavailable):  # it expires
                self._presence.leave(self._owner)

    def outcome(self, work: Work) -> Turn | None:
        """See the protocol: another pod took it and ends it."""
        deadline_s = self._clock.monotonic_s() + limits.TURN_TIMEOUT_S
        while self._clock.monotonic_s() < deadline_s:
            turn = self._sessions.turn(work.lease.key, ANYBODY)
            if turn.state in FINISHED:
                return turn
            self._clock.sleep(_LOOK_S)
        raise DeadlineExceeded("the turn was taken by another pod and did not end")

    def close(self) -> None:
        """See the protocol."""
        self._store.client.close()


def _cipher(url: str, key_file: Path, clock: SystemClock) -> SealingCipher:
    """Return the seal of the cluster's pods; its data keys are in the same Redis."""
    masters = MasterKeyLines(SecretLines(key_file, check=problem_of_master_key))
    keys = RedisDataKeys(connect(url, pool_max=2))
    # Copies lie in an artifact store that a program does not know: what they decide, pods decide.
    ring = DataKeyRing(keys, masters, copies=None, clock=clock, begins=False)
    return SealingCipher(ring)
