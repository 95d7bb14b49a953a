"""Errors of the cluster as statuses of gRPC: one table."""

from collections.abc import Mapping
from typing import Final

from grpc import StatusCode

from kotaemon_node.client.errors import BadAnswer, KotaemonError, Misfit, Unreachable

STATUSES: Final[Mapping[int, StatusCode]] = {
    400: StatusCode.INVALID_ARGUMENT,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    405: StatusCode.UNIMPLEMENTED,
    409: StatusCode.ALREADY_EXISTS,
    410: StatusCode.FAILED_PRECONDITION,
    413: StatusCode.INVALID_ARGUMENT,
    415: StatusCode.INVALID_ARGUMENT,
    422: StatusCode.INVALID_ARGUMENT,
    426: StatusCode.UNIMPLEMENTED,
    429: StatusCode.RESOURCE_EXHAUSTED,
    # The same turn id gives the same failure again: neither says "try again".
    500: StatusCode.INTERNAL,
    501: StatusCode.UNIMPLEMENTED,
    502: StatusCode.INTERNAL,
    # This does: the same request again reaches another pod and finds the same turn.
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
}
"""By the HTTP status that docs/reference/errors.md gives a code."""

OF_CODES: Final[Mapping[str, StatusCode]] = {
    "session_busy": StatusCode.ABORTED,
    # What a stream may tell, where there is no HTTP status.
    "gone": StatusCode.FAILED_PRECONDITION,
    "unauthenticated": StatusCode.UNAUTHENTICATED,
    "deadline_exceeded": StatusCode.DEADLINE_EXCEEDED,
}
"""Codes that go before their HTTP status."""

CODE_KEY: Final = "kotaemon-code"
RETRYABLE_KEY: Final = "kotaemon-retryable"
TRACE_KEY: Final = "kotaemon-trace-id"
PUSHBACK_KEY: Final = "grpc-retry-pushback-ms"
RETRY_AFTER_KEY: Final = "retry-after"


def status_of(error: KotaemonError) -> StatusCode:
    """Return the status of an error."""
    if isinstance(error, Unreachable | Misfit | BadAnswer):
        return StatusCode.UNAVAILABLE
    by_status = STATUSES.get(error.status, StatusCode.INTERNAL)
    return OF_CODES.get(error.code, by_status)


def trailers_of(error: KotaemonError) -> tuple[tuple[str, str], ...]:
    """Return what an error says besides, as metadata behind the answer."""
    said = (
        (CODE_KEY, error.code),
        (RETRYABLE_KEY, "true" if error.retryable else "false"),
        (TRACE_KEY, error.trace_id),
    )
    told = tuple((name, text) for name, text in said if text)
    if error.retry_after_s is None:
        return told
    # By the first gRPC's own retries wait (gRFC A6), the second is for people and programs.
    pause_ms = str(int(1_000 * error.retry_after_s))
    return (*told, (PUSHBACK_KEY, pause_ms), (RETRY_AFTER_KEY, f"{error.retry_after_s:g}"))
