"""Follow-ups: turns that nobody asked for, by which a session hears what came later.

Law 1: what is told has a ``ref``, and the turn's id follows from it. So it is told once, however
    often it is asked for, by whichever pods.
Law 2: a follow-up is a turn like any: it waits its place in the session's queue, its frames are
    stored before they are shown, another pod goes on with it, and it ends in the history.
Law 3: while a person has the session nothing is said in the name of the bot; the follow-up waits.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import structlog

from kotaemon_node.domain.acting_limits import (
    FOLLOW_UP_BYTES_MAX,
    FOLLOW_UP_CHARS_MAX,
    FOLLOW_UP_PARKED_S,
)
from kotaemon_node.domain.channels import CHANNEL
from kotaemon_node.domain.errors import (
    Gone,
    Invalid,
    Overloaded,
    SessionNotFound,
    TurnNotFound,
    Unavailable,
)
from kotaemon_node.domain.language import language_of
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey, TurnRequest
from kotaemon_node.domain.turn import FINISHED, State
from kotaemon_node.engine.answer_draft import Draft
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.later import FOLLOW_UP, Again, Hopeless, Later, LaterJob
from kotaemon_node.ports.sessions import ClaimOutcome, SessionStore, Work

_log = structlog.get_logger(__name__)

_SOON_S: Final = 1.0
_TELLINGS_MAX: Final = 5

OPTION: Final = FOLLOW_UP
"""The option of a turn that holds what it tells; requests from outside cannot set it."""

Texts = str | Mapping[str, str]
"""A text, or one for each language (``en``, ``zh``), of which that of the session is told."""


class FollowUps:
    """Has sessions told something, once and surely. Thread safe."""

    def __init__(self, later: Later) -> None:
        self._later = later

    def tell(
        self,
        session: SessionKey,
        *,
        ref: str,
        text: Texts,
        sources: Sequence[Mapping[str, Any]] = (),
        fields: Mapping[str, Any] | None = None,
        due_in_s: float = 0.0,
    ) -> bool:
        """Have ``text`` told as a turn of its own; False where ``ref`` is known already.

        Returns as soon as that is noted in the store. ``sources`` are ``docs`` as a ``source``
        frame has them; ``fields`` go into the turn's audit record. A session that was deleted is
        told nothing, and that is no error. Raises ``Invalid`` for what is too large, and what
        ``Later.put`` raises.
        """
        said = {"ref": ref, "text": text, "sources": list(sources), "fields": dict(fields or {})}
        longest = text if isinstance(text, str) else max(text.values(), key=len, default="")
        size = len(json.dumps(said, ensure_ascii=False).encode())
        if len(longest) > FOLLOW_UP_CHARS_MAX or size > FOLLOW_UP_BYTES_MAX:
            raise Invalid(f"a follow-up has more than {FOLLOW_UP_CHARS_MAX} characters")
        return self._later.put(
            LaterJob(
                id=turn_id_of(session, ref),
                kind=FOLLOW_UP,
                tenant=session.tenant,
                fields={"session": session.session_id, **said},
                due_in_s=due_in_s,
            )
        )


def turn_id_of(session: SessionKey, ref: str) -> str:
    """Return the id of the turn that tells ``ref``; also that of its job."""
    named = f"{session.tenant}/{session.session_id}/{ref}"
    return f"follow-up-{hashlib.sha256(named.encode()).hexdigest()[:32]}"


class Submits(Protocol):
    """Runs turns; implemented by ``engine.turns.TurnEngine``."""

    def submit(self, request: TurnRequest) -> ClaimOutcome:
        """Accept the turn; from here it runs even if nobody listens."""
        ...


class FollowUpTurns:
    """Carries out the jobs of ``FollowUps``: has the turn accepted, then looks that it was told."""

    def __init__(self, sessions: SessionStore, turns: Submits) -> None:
        self._sessions = sessions
        self._turns = turns

    def __call__(self, job: LaterJob) -> None:
        """See ``engine.later.Handler``."""
        session = SessionKey(job.tenant, str(job.fields["session"]))
        system = Principal(job.tenant, "", "system")
        try:
            self._tell(session, system, job)
        except SessionNotFound:
            _log.info("follow_up_ended", job=job.name, reason="its session is no more")
        except Gone:
            # Deleted in this moment; or the store has lost something, which is told once.
            if self._sessions.head(session) is not None:
                raise Again(_SOON_S, "the session goes on under another epoch") from None
        except (Overloaded, Unavailable) as error:
            # Its session has no room, or rests in an archive that does not answer.
            raise Again(FOLLOW_UP_PARKED_S, str(error)) from error

    def _tell(self, session: SessionKey, system: Principal, job: LaterJob) -> None:
        for number in range(1, _TELLINGS_MAX + 1):
            turn_id = job.id if number == 1 else f"{job.id}-{number}"
            turn = self._turn(TurnKey(session, turn_id), system)
            if turn is None:
                self._submit(TurnKey(session, turn_id), system, job)
                raise Again(_SOON_S, "it is being told")
            if turn.state not in FINISHED:
                raise Again(_SOON_S, "it waits its place in the session")
            if turn.state is State.CANCELLED or (turn.state is State.DONE and turn.answer):
                return
            # A message that was to interrupt, or a handoff, was in between: it was not heard.
        raise Hopeless(f"it was interrupted {_TELLINGS_MAX} times")

    def _turn(self, key: TurnKey, system: Principal) -> Turn | None:
        try:
            return self._sessions.turn(key, system)
        except TurnNotFound:
            return None

    def _submit(self, key: TurnKey, system: Principal, job: LaterJob) -> None:
        view = self._sessions.load(key.session, system, after_version=0, limit=0)
        if view.handoff is not None:
            raise Again(FOLLOW_UP_PARKED_S, "a person has the session")
        said = {name: job.fields[name] for name in ("ref", "text", "sources", "fields")}
        self._turns.submit(
            TurnRequest(
                key=key,
                principal=system,
                message="",
                options={OPTION: said},
                on_busy="enqueue",
                trace_id=hashlib.sha256(key.turn_id.encode()).hexdigest()[:32],
                create_session=False,
            )
        )


def told(work: Work, out: FrameWriter) -> Draft | None:
    """Write what a follow-up tells; None where ``work`` is none."""
    said = work.options.get(OPTION)
    if not isinstance(said, Mapping):
        return None
    out.status("follow_up", latency_s=0.0)
    if said.get("sources"):
        out.source(said["sources"])
    out.text(_in_its_language(said["text"], work))
    out.finish()
    out.notes["follow_up"] = {"ref": said["ref"], "fields": said.get("fields") or {}}
    return Draft(unanswered=False, record=out.notes)


def origin_of(work: Work) -> dict[str, Any]:
    """Return what the turn of ``work`` says of where it came from: nothing of most."""
    said = work.options.get(OPTION)
    if isinstance(said, Mapping):
        return {"origin": OPTION, "ref": said["ref"]}
    message = work.options.get(CHANNEL)
    return {"ref": message["message_id"]} if isinstance(message, Mapping) else {}


def _in_its_language(text: Texts, work: Work) -> str:
    """Return the text in the language of what the user said last."""
    if isinstance(text, str):
        return text
    messages = (turn.message for turn in reversed(work.session.turns))
    language = language_of(next(filter(str.strip, messages), ""))
    return text.get(language) or next(iter(text.values()))
