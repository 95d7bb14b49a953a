"""What goes wrong, as exceptions: each says what every error of the cluster says."""

from collections.abc import Mapping
from typing import Any, Final

RETRIED: Final = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may succeed a little later, at this pod or another."""


class KotaemonError(Exception):
    """The cluster refused, failed, or could not be reached.

    ``code`` is one of the cluster's error codes, or ``unreachable``, ``misfit``, ``bad_answer``,
    ``unfinished``, which are the client's own. ``trace_id`` finds the request in logs and traces.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        retryable: bool = False,
        trace_id: str = "",
        status: int = 0,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.retryable = retryable
        self.trace_id = trace_id
        self.retry_after_s: float | None = None
        """After how long the same may succeed, where the cluster said so."""
        self.status = status
        """Of the HTTP answer; 0: there was none, or a stream said it."""

    def __str__(self) -> str:
        trace = f" (trace {self.trace_id})" if self.trace_id else ""
        return f"{self.code}: {self.message}{trace}"


class Unreachable(KotaemonError):
    """No pod answered, however often it was tried."""


class Misfit(KotaemonError):
    """What arrived does not fit together, also after it was read anew from its first frame."""


class Unfinished(KotaemonError):
    """The answer was asked of a stream that was closed before the end of its turn."""


class BadAnswer(KotaemonError):
    """The answer is not one of a cluster: is the endpoint right?"""


class Refused(KotaemonError):
    """The request was understood and refused: 4xx, or 5xx with a reason."""


class NotAllowed(Refused):
    """No credential, a wrong one, or one that may not do this (401, 403)."""


class NotFound(Refused):
    """There is no such thing, or it is not yours (404)."""


class Conflict(Refused):
    """It contradicts what was accepted before (409)."""


class Gone(Refused):
    """The store no longer knows what you have seen (410, or a stream said so): read the session."""


class Overloaded(Refused):
    """A bounded queue is full (429), however often it was tried."""


class TurnFailed(KotaemonError):
    """The turn ended as failed. Its id gives the same failure again; a new try needs a new id."""


class JobFailed(KotaemonError):
    """The job ended as failed; the message is its reason."""


_KINDS: Final[Mapping[int, type[Refused]]] = {
    401: NotAllowed, 403: NotAllowed, 404: NotFound, 409: Conflict, 410: Gone, 429: Overloaded,
}  # fmt: skip


def error_of(status: int, body: Any, *, trace_id: str = "") -> KotaemonError:
    """Return the exception for an answer of ``status`` (400 or more) with ``body`` as JSON."""
    fields = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(fields, Mapping):
        return BadAnswer(
            f"status {status} without a reason", code="bad_answer", trace_id=trace_id,
            status=status, retryable=status in RETRIED,
        )  # fmt: skip
    return _KINDS.get(status, Refused)(
        str(fields.get("message", "")),
        code=str(fields.get("code", "internal")),
        retryable=bool(fields.get("retryable", False)),
        trace_id=str(fields.get("trace_id") or trace_id),
        status=status,
    )


def error_in_stream(fields: Mapping[str, Any], *, numbered: bool) -> KotaemonError:
    """Return the exception for a frame ``error``: a numbered one is the end of its turn."""
    code = str(fields.get("code", "internal"))
    kind = TurnFailed if numbered else (Gone if code == "gone" else Refused)
    return kind(
        str(fields.get("message", "")),
        code=code,
        retryable=bool(fields.get("retryable", False)),
        trace_id=str(fields.get("trace_id", "")),
    )
