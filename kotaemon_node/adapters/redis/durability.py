"""What ``DURABILITY`` asks of the store before anybody is told of a write. See ADR 0009.

Law 1: nothing is acknowledged or shown before it is *confirmed*: a replica has it (``replica``), or
       the primary's disk (``fsync``). ``local`` asks for nothing and costs nothing.
Law 2: a **seal** goes behind the commands of a pipeline, on their connection: a tiny write of its
       own and ``WAIT`` or ``WAITAOF`` for it. Replication and the append-only file are one ordered
       stream, so what is confirmed behind the seal's write confirms all before it: what these
       commands wrote, what they only read, and what an earlier try had written already.
Law 3: where each reply waits for the disk anyway (``appendfsync always``) there is no seal: what
       anybody is told, writer or reader, is on the disk by then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from redis.exceptions import AskError, RedisError, ResponseError, TryAgainError

from kotaemon_node.adapters.redis import keys
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import StoreUnwritable

Level = Literal["local", "replica", "fsync"]

_WAITAOF_SINCE = (7, 2)
_TIMEOUT_MS = int(limits.CONFIRM_TIMEOUT_S * 1000)


class NeverDurable(ValueError):
    """The store can never give what is asked; the text says what to do."""


class NotDurableYet(StoreUnwritable):
    """The store does not give now what is asked; it may in a moment."""


class Unconfirmed(RedisError):
    """What was written or read may still be lost."""


@dataclass(frozen=True, slots=True)
class Seal:
    """The commands behind a pipeline that tell whether all before them is safe."""

    wait: tuple[str | int, ...]

    def commands(self, touch: str) -> tuple[tuple[Any, ...], ...]:
        """Return them; ``touch`` is a key of the very server that the pipeline goes to."""
        return ("SET", touch, ""), self.wait

    def refusal(self, touched: Any, said: Any) -> Exception | None:
        """Return what is wrong by the replies to ``commands``; None: all is confirmed."""
        if isinstance(touched, AskError):
            # The touched slot is on its way to another node, not the slots of the pipeline.
            return TryAgainError("the slot that confirms is on its way")
        if isinstance(touched, Exception):
            return touched
        confirmed = said[0] if isinstance(said, list) else said
        if isinstance(said, Exception) or int(confirmed) < 1:
            return Unconfirmed("not confirmed in time")
        return None

    def execute(self, pipe: Any, *, raise_on_error: bool) -> list[Any]:
        """Run a pipeline of one server under this seal; unconfirmed replies become the reason."""
        for command in self.commands(keys.touch(0)):
            pipe.execute_command(*command)
        *replies, touched, said = pipe.execute(raise_on_error=raise_on_error)
        error = self.refusal(touched, said)
        if error is not None and raise_on_error:
            raise error
        return refused(replies, error)


def refused(replies: Sequence[Any], error: Exception | None) -> list[Any]:
    """Return the replies, where there is an error with it in place of each good one."""
    if error is None:
        return list(replies)
    return [reply if isinstance(reply, Exception) else error for reply in replies]


_REPLICA = Seal(("WAIT", 1, _TIMEOUT_MS))
_DISK = Seal(("WAITAOF", 1, 0, _TIMEOUT_MS))


@dataclass(frozen=True, slots=True)
class Offer:
    """What a primary says of itself."""

    primary: bool
    version: tuple[int, int]
    replicas: int
    """Connected ones that have caught up."""
    append_only: bool
    fsync: Literal["always", "everysec", "no", ""]
    """``appendfsync``; "" where it was not asked for or may not be known."""

    @classmethod
    def of(cls, server: Any) -> "Offer":
        """Ask a server; raises redis-py's errors."""
        info = server.info()
        major, minor = (int(part) for part in str(info["redis_version"]).split(".")[:2])
        replicas = [value for name, value in info.items() if name.startswith("slave")]
        online = [row for row in replicas if isinstance(row, dict) and row["state"] == "online"]
        append_only = bool(info["aof_enabled"])
        return cls(
            primary=info["role"] == "master",
            version=(major, minor),
            replicas=len(online),
            append_only=append_only,
            fsync=_fsync(server) if append_only else "",
        )


def _fsync(server: Any) -> Any:
    try:
        return server.config_get("appendfsync").get("appendfsync", "")
    except ResponseError:
        return ""  # hosted servers keep their configuration to themselves


def seal_of(level: Level, offers: Sequence[Offer]) -> Seal | None:
    """Return the seal by which these primaries give ``level``; None: they need none.

    Raises ``NeverDurable`` and ``NotDurableYet``.
    """
    if level == "local":
        return None
    if not offers or not all(offer.primary for offer in offers):
        raise NotDurableYet("the session store has no primary now")
    if level == "replica":
        if not all(offer.replicas for offer in offers):
            raise NotDurableYet(
                "DURABILITY=replica: no replica is connected to the session store's primary"
            )
        return _REPLICA
    if not all(offer.append_only for offer in offers):
        raise NeverDurable(
            "DURABILITY=fsync needs a Redis with an append-only file: set `appendonly yes` in its"
            " configuration, or choose DURABILITY=local."
        )
    if all(offer.version >= _WAITAOF_SINCE for offer in offers):
        return _DISK
    if all(offer.fsync == "always" for offer in offers):
        return None
    raise NeverDurable(
        "DURABILITY=fsync needs Redis 7.2 or newer, or `appendfsync always` in the configuration"
        " of an older one (and leave to read it by CONFIG GET); or choose DURABILITY=local."
    )


class Durability:
    """The level of a store, and by which seal the store gives it once that is known."""

    def __init__(self, level: Level, *, offers: Callable[[], Sequence[Offer]]) -> None:
        self.level = level
        self._offers = offers
        self._seal: Seal | None = None
        self._known = level == "local"
        self.lacking = "" if self._known else f"DURABILITY={level}: the store was not asked yet"
        """Why the store does not give the level; "" once it was seen to."""

    def check(self) -> None:
        """Look whether the store gives the level; raises ``NeverDurable``, redis-py's errors.

        Once is enough: what changes later shows at the writes themselves.
        """
        if self._known:
            return
        try:
            self._seal = seal_of(self.level, self._offers())
        except (NotDurableYet, NeverDurable) as error:
            self.lacking = str(error)
            raise
        self._known, self.lacking = True, ""

    def seal(self) -> Seal | None:
        """Return what confirms a pipeline; None: nothing does, or nothing needs to."""
        if self._known:
            return self._seal
        if self.level == "replica":
            return _REPLICA  # whatever is offered, it is confirmed by this or by nothing
        try:
            self.check()
        except NeverDurable as error:
            raise StoreUnwritable(str(error)) from error
        return self._seal
