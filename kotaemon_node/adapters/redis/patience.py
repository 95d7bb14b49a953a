"""How long a call waits for a store that changes hands, before its caller is told."""

import time
from collections.abc import Callable
from typing import TypeVar

from redis.backoff import AbstractBackoff, NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    MaxConnectionsError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

T = TypeVar("T")

PATIENCE_S = 2.0  # Sentinel and a Cluster need one or two to agree on a new primary
_FIRST_WAIT_S, _WAIT_MAX_S = 0.01, 0.2

# A replica, a full or a loading server: the text is all there is to tell, because redis-py may
# report an error raised inside a script as a plain ResponseError.
FULL_WORD = "OOM "
# What a primary says to those who wait for its replica when it becomes a replica itself.
_DEMOTED_WORD = "UNBLOCKED"
PASSING_WORDS = (
    "READONLY",
    FULL_WORD,
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    _DEMOTED_WORD,
)
# What a script says that touched a key whose slot is on its way to another node.
MOVING_WORDS = ("non local key", "TRYAGAIN")
_CHANGING_WORDS = (
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    _DEMOTED_WORD,
    *MOVING_WORDS,
)
POOL_EMPTY = "No connection available"  # the pool's own words for "all are in use"


class _Soon(AbstractBackoff):
    """At once, then ever later: most changes are over when they are noticed."""

    def compute(self, failures: int) -> float:
        if failures <= 1:
            return 0.0
        return min(_WAIT_MAX_S, _FIRST_WAIT_S * float(2 ** min(failures - 2, 10)))


def at_once() -> Retry:
    """Return the policy for connections whose callers repeat by themselves: none."""
    return Retry(NoBackoff(), 0)


def changing_hands(error: Exception) -> bool:
    """Tell whether the same call may succeed in a moment, at another server or this one."""
    match error:
        case AuthenticationError() | MaxConnectionsError():
            return False
        case RedisConnectionError() | RedisTimeoutError():
            return POOL_EMPTY not in str(error)
        case ReadOnlyError() | TryAgainError() | ClusterDownError():
            return True
        case ResponseError():
            return any(word in str(error) for word in _CHANGING_WORDS)
        case _:
            return False


def patiently(
    attempt: Callable[[], T],
    mend: Callable[[Exception], None],
    *,
    errors: tuple[type[Exception], ...],
    retryable: Callable[[Exception], bool] = lambda _: True,
    wait_s: float = PATIENCE_S,
) -> T:
    """Repeat ``attempt`` for ``wait_s``, mending in between; raises its last error then.

    ``attempt`` must be safe to repeat.
    """
    deadline_s = time.monotonic() + wait_s

    def failed(error: Exception) -> None:
        if time.monotonic() >= deadline_s:
            raise error
        mend(error)

    return Retry(_Soon(), -1, errors).call_with_retry(attempt, failed, is_retryable=retryable)
