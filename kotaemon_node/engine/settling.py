"""Settles what was reserved for a turn, once it has ended on whichever pod."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from kotaemon_node.domain.errors import StoreFull, StoreUnavailable
from kotaemon_node.domain.session import Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.use import Left, UseCounts

_log = structlog.get_logger(__name__)

CRASHED: Final = "turn_crashed"
"""Error code of a turn whose pods were lost one after the other."""


@dataclass(frozen=True, slots=True)
class LeftTurn:
    """What a turn had taken when its pod left it to others."""

    key: TurnKey
    attempt: int
    usage: Mapping[str, Any]
    unkept: Mapping[str, Any]
    """What of it stands in no journal."""


class Spent(Protocol):
    """Is told of a turn that its pod leaves, and whether it is gone; must not raise."""

    def __call__(self, left: LeftTurn, *, gone: bool) -> None: ...


def nobody_told(left: LeftTurn, *, gone: bool) -> None:
    """Tell nobody."""


def turn_name(key: TurnKey) -> str:
    """Return what names a turn where use is counted."""
    return f"{key.session.session_id}/{key.turn_id}"


class Settling:
    """``engine.announcing.TellsTurns``. What is never settled counts as it was reserved."""

    def __init__(self, counts: UseCounts) -> None:
        self._counts = counts

    def turn(self, key: TurnKey, *, epoch: str, turn: Turn) -> bool:
        """See the protocol."""
        took = _Took() if _untold(turn) else _Took.of(turn.usage)
        try:
            self._counts.settle(
                key.session.tenant,
                turn_name(key),
                tokens=took.tokens,
                cost=took.cost,
                attempt=turn.attempts,
            )
        except StoreUnavailable as error:
            return isinstance(error, StoreFull)  # which takes nothing for a while
        except Exception:  # noqa: BLE001 - a bug in counting must not keep back the turn's events
            _log.exception("turn_not_settled", turn_id=key.turn_id)
        return True

    def spent(self, left: LeftTurn, *, gone: bool) -> None:
        """``Spent``: what is gone nobody else will settle."""
        tenant, name = left.key.session.tenant, turn_name(left.key)
        took, lost = _Took.of(left.usage), _Took.of(left.unkept)
        if not took.tokens and not took.cost:
            return
        try:
            if gone:
                self._counts.settle(
                    tenant, name, tokens=took.tokens, cost=took.cost, attempt=left.attempt
                )
            else:
                self._counts.tell(tenant, name, _left(left.attempt, took, lost))
        except Exception as error:  # noqa: BLE001 - then it counts as it was reserved
            _log.warning("turn_not_told", turn_id=left.key.turn_id, error=str(error))


@dataclass(frozen=True, slots=True)
class _Took:
    """What a turn took; None: nobody knows."""

    tokens: int | None = None
    cost: float | None = None

    @classmethod
    def of(cls, usage: Mapping[str, Any]) -> "_Took":
        tokens = sum(int(usage.get(f"{it}_tokens") or 0) for it in ("prompt", "completion"))
        return cls(tokens, float(usage.get("cost") or 0.0))


def _left(attempt: int, took: _Took, lost: _Took) -> Left:
    return Left(attempt, took.tokens or 0, took.cost or 0.0, lost.tokens or 0, lost.cost or 0.0)


def _untold(turn: Turn) -> bool:
    """Tell whether another task had the turn and knows what it took, which whoever ended it cannot.

    One that nobody had yet, as it waited, took nothing.
    """
    taken_away = turn.state in {State.CANCELLED, State.INTERRUPTED}
    lost = (turn.error or {}).get("code") == CRASHED
    return turn.attempts > 0 and not turn.usage and (taken_away or lost)
