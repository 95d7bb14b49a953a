"""Every error a caller may see: a code for machines, a message for people, a hint to retry.

The HTTP status of each code stands in one table, ``kotaemon_node.api.errors``.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

_WAITED_FOR_S: Final = 61  # a minute's limit is free again by then


class NodeError(Exception):
    """Base of our errors. Raise a subclass; anything else is a bug and reads as ``internal``."""

    code = "internal"
    retryable = False


class Malformed(NodeError):
    """The request cannot be read: broken JSON, broken UTF-8, an id with forbidden characters."""

    code = "malformed"


class Invalid(NodeError):
    """The request can be read, but a field is missing, of a wrong type or out of range."""

    code = "invalid"


class TooLarge(NodeError):
    """The body or a field is over its limit."""

    code = "too_large"


class Unauthenticated(NodeError):
    """No credential, or one that does not verify."""

    code = "unauthenticated"


class Forbidden(NodeError):
    """The caller is known and may not do this."""

    code = "forbidden"


class NotFound(NodeError):
    """The thing named does not exist, or is not the caller's; nobody can tell which."""

    code = "not_found"


class SessionNotFound(NotFound):
    """No session has this id, or its time to live ran out, or it belongs to somebody else."""

    code = "session_not_found"


class TurnNotFound(NotFound):
    """The session has no turn of this id."""

    code = "turn_not_found"


class Conflict(NodeError):
    """The request contradicts what was accepted before."""

    code = "conflict"


class TurnConflict(Conflict):
    """This turn id was used before with another body."""

    code = "turn_conflict"


class SessionBusy(Conflict):
    """A turn is running and the caller asked not to wait (``on_busy=reject``)."""

    code = "session_busy"
    retryable = True


class Gone(NodeError):
    """The store no longer knows what the caller has seen."""

    code = "gone"


class Withdrawn(Gone):
    """What was cited was purged: it may not be shown any more."""

    code = "withdrawn"


class Sealed(NodeError):
    """What is stored cannot be opened: its key was destroyed, or it was altered or moved."""

    code = "sealed"
    reason = "destroyed"

    def __init__(self, message: str, *, reason: str = "") -> None:
        """``reason``, of a few words, is counted: ``destroyed``, ``altered`` or ``unsealed``."""
        super().__init__(message)
        self.reason = reason or self.reason


class MasterKeyMissing(Sealed):
    """The master key that wrapped a data key is not known here; another pod may know it."""

    code = "master_key_missing"
    retryable = True
    reason = "master_key_missing"


class Overloaded(NodeError):
    """A bounded queue is full; the same request may succeed a little later."""

    code = "overloaded"
    retryable = True


class LimitReached(NodeError):
    """The caller, or its tenant, has used what it may; the same request may succeed later."""

    code = "rate_limited"
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        limit: str,
        retry_after_s: float,
        levels: Sequence[Any] = (),
    ) -> None:
        """``limit``: the name of that which is waited for; ``levels``: how all of them stand."""
        super().__init__(message)
        self.limit = limit
        self.retry_after_s = max(1, math.ceil(retry_after_s))
        self.levels = levels
        # Who is told to come back tomorrow is not to try again by itself.
        self.retryable = self.retry_after_s <= _WAITED_FOR_S


class Unavailable(NodeError):
    """This pod cannot serve the request now; another pod may."""

    code = "unavailable"
    retryable = True


class IssuerUnavailable(Unavailable):
    """An issuer's keys cannot be had now, so nobody can tell whether a token is good.

    Who cannot be told from a stranger is not called one; a stream that is under way goes on.
    """

    code = "issuer_unavailable"


class StoreUnavailable(Unavailable):
    """Redis does not answer. ``refusal`` is the reason under which it is counted."""

    code = "store_unavailable"
    refusal = "silent"


class StoreBusy(StoreUnavailable):
    """Every connection of this pod to Redis is in use; told to callers as overload."""

    code = "overloaded"
    refusal = "busy"


class StoreUnwritable(StoreUnavailable):
    """Redis answers reads and refuses writes: it cannot save, lacks replicas or changes hands."""

    refusal = "unwritable"


class StoreFull(StoreUnwritable):
    """Redis is at its memory limit: it answers reads, deletes, and refuses every other write."""

    code = "store_full"
    refusal = "full"


class KnowledgeBehind(Unavailable):
    """This pod does not yet serve the generation that the request or its session needs."""

    code = "behind"


class SessionAhead(KnowledgeBehind):
    """The session was answered from a newer generation than the one that is served here."""

    def __init__(self, message: str, *, generation: int) -> None:
        """``generation``: that which it has seen."""
        super().__init__(message)
        self.generation = generation


class Draining(Unavailable):
    """This pod is leaving and takes no new work."""

    code = "draining"


class LanguageModelError(NodeError):
    """The language model refused, failed or fell silent."""

    code = "language_model_failed"
    retryable = True


class LanguageModelRefusal(LanguageModelError):
    """It cannot do this very request, as one that is too long; it may be well otherwise."""


class LanguageModelUnavailable(LanguageModelError):
    """The language model failed several times in a row, and is not asked for a while."""

    code = "language_model_unavailable"


class SpeechFailed(NodeError):
    """What hears or speaks refused, failed or fell silent."""

    code = "speech_failed"
    retryable = True


class SpeechOff(NodeError):
    """This cluster hears or speaks nothing; the message says how to switch it on."""

    code = "speech_off"


class DeadlineExceeded(NodeError):
    """A turn or an upload ran out of one of its time limits."""

    code = "deadline_exceeded"
    retryable = True


class Fenced(NodeError):
    """Another pod owns the turn now; stop quietly, nothing of ours may be written any more."""

    code = "fenced"


class SequenceGap(NodeError):
    """A frame's number is not the next one of its turn; a bug of the writer."""

    code = "sequence_gap"


class IllegalTransition(NodeError):
    """A turn was asked to do what its state does not allow; a bug in the engine."""

    code = "illegal_transition"


class CorruptArtifact(NodeError):
    """A stored file does not have the checksum its manifest names, or cannot be read."""

    code = "corrupt_artifact"


class DocumentRefused(NodeError):
    """A document cannot be indexed; the message is the reason shown to its owner."""

    code = "document_refused"
