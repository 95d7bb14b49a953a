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
from typing import Any, Final

from kotaemon_node.domain.acting_limits import FOLLOW_UP_BYTES_MAX, FOLLOW_UP_CHARS_MAX
from kotaemon_node.domain.errors import Invalid
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.ports.later import FOLLOW_UP, Later, LaterJob

OPTION: Final = "follow_up"
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
        if len(longest) > FOLLOW_UP_CHARS_MAX or len(json.dumps(said)) > FOLLOW_UP_BYTES_MAX:
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
