"""What a client says on ``/ws/voice`` beside what it may on ``/ws/chat``"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from kotaemon_node.api.body import checked, parse_object
from kotaemon_node.api.fields import Body, Id, Number
from kotaemon_node.api.voice.forms import Language, Speed, VoiceName
from kotaemon_node.api.websocket.messages import ResumeSaid
from kotaemon_node.domain import speech_limits as limits
from kotaemon_node.domain.session import OnBusy


class AudioForm(Body):
    """How sound comes: one channel of 16-bit samples, little-endian."""

    format: Literal["pcm_s16le"] = "pcm_s16le"
    rate_hz: Annotated[int, Field(ge=limits.SOUND_RATE_HZ_MIN, le=limits.SOUND_RATE_HZ_MAX)] = (
        limits.HEARING_RATE_HZ
    )


class StartSaid(Body):
    """``start``: what comes as binary messages from now on is speech."""

    session_id: Id | None = None
    turn_id: Id | None = None
    """Of the first utterance; later ones get fresh ids."""
    language: Language = ""
    """Of the speech; empty: the engine's default."""
    audio: AudioForm = AudioForm()
    vad: bool = True
    """Whether silence ends an utterance; else ``end`` does."""
    continuous: bool = False
    """Whether the next utterance is listened for behind it."""
    speak: bool = True
    """Whether answers are spoken."""
    voice: VoiceName = ""
    speed: Speed = 1.0
    kb: Id | None = None
    on_busy: OnBusy = "interrupt"


class EndSaid(Body):
    """``end``: the utterance is over."""


class HushSaid(Body):
    """``hush``: speak no more of this answer; its text goes on."""


class VoiceResumeSaid(ResumeSaid):
    """``resume``: as on ``/ws/chat``; sentences that end behind ``spoken`` are spoken again."""

    spoken: Number = 0
    """Code points of the answer that the client has heard: ``end`` of its last ``audio``."""
    speak: bool = True
    voice: VoiceName = ""
    speed: Speed = 1.0


VoiceSaid = StartSaid | EndSaid | HushSaid | VoiceResumeSaid

_KINDS: Final[dict[str, type[VoiceSaid]]] = {
    "start": StartSaid,
    "end": EndSaid,
    "hush": HushSaid,
    "resume": VoiceResumeSaid,
}


def read_voice_said(text: str) -> tuple[VoiceSaid, dict[str, Any]] | None:
    """Return what was said, and its fields; None for what is said as on ``/ws/chat``."""
    if not text.lstrip().startswith("{"):
        return None
    fields = parse_object(text.encode())
    kind = _KINDS.get(str(fields.get("type")))
    return None if kind is None else (checked(kind, fields), fields)
