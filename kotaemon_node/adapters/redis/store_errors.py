"""What Redis and its client raise, as errors of ours: is the store away, busy, full, or a bug?"""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    MaxConnectionsError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from kotaemon_node.adapters.redis.durability import Unconfirmed
from kotaemon_node.adapters.redis.patience import (
    FULL_WORD,
    MOVING_WORDS,
    PASSING_WORDS,
    POOL_EMPTY,
)
from kotaemon_node.domain.errors import (
    StoreBusy,
    StoreFull,
    StoreUnavailable,
    StoreUnwritable,
)
from kotaemon_node.domain.tls_advice import tls_advice

_REFUSING = (*PASSING_WORDS, *MOVING_WORDS)
_SILENT = "the session store does not answer"


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what redis-py raises into ``StoreUnavailable`` or ``StoreBusy``; bugs stay bugs."""
    try:
        yield
    except RedisError as error:
        failure = store_error(error)
        if failure is error:
            raise
        raise failure from error


def store_error(error: Exception) -> Exception:
    """Return what an error of redis-py means to callers; itself where it is a bug."""
    if isinstance(error, MaxConnectionsError) or POOL_EMPTY in str(error):
        return StoreBusy("too many requests wait for the session store")
    match error:
        case NoScriptError():
            return error
        case RedisConnectionError() | RedisTimeoutError():
            return StoreUnavailable(_away(error))
        case Unconfirmed():
            return StoreUnwritable("the session store cannot promise now that nothing is lost")
        case ResponseError():
            return _refusal(error)
        case _:
            return StoreUnavailable("the session store failed")


def _away(error: Exception) -> str:
    if isinstance(error, AuthenticationError):  # perhaps its password is just being exchanged
        return f"the session store does not let us in: {error}"
    advice = tls_advice(error)
    return f"no TLS with the session store: {advice}" if advice else _SILENT


def _refusal(error: ResponseError) -> Exception:
    """Tell a store that cannot serve now from a command that is wrong."""
    # redis-py takes the word off its own kind of error; out of some scripts it is a plain one.
    if isinstance(error, OutOfMemoryError) or FULL_WORD in str(error):
        return StoreFull("the session store is full")
    typed = (ReadOnlyError, AskError, TryAgainError, ClusterDownError)
    if isinstance(error, typed) or any(word in str(error) for word in _REFUSING):
        return StoreUnwritable("the session store does not take writes")
    return error
