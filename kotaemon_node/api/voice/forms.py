"""What requests about speech say, and what they are answered."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from kotaemon_node.domain import speech_limits as limits

Language = Annotated[str, Field(max_length=16, pattern=r"^[A-Za-z]{0,3}([-_][A-Za-z0-9]{1,8})*$")]
VoiceName = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9 _./+-]*$")]
Speed = Annotated[float, Field(ge=limits.SPEED_MIN, le=limits.SPEED_MAX)]


TRANSCRIPTION_FORM: Final = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "contentMediaType": "audio/wav"},
        "model": {"type": "string"},
        "language": {"type": "string"},
        "response_format": {"type": "string", "enum": ["json", "text", "verbose_json"]},
    },
}


class TranscriptionFields(BaseModel):
    """The fields beside the file; others of OpenAI's change nothing here."""

    model_config = ConfigDict(extra="ignore")

    model: str = ""
    language: Language = ""
    response_format: Literal["json", "text", "verbose_json"] = "json"
    stream: Literal["", "false", "False", "0"] = ""


class SpeechBody(BaseModel):
    """What is to be said, and how; `mp3` and the like are not made here."""

    model_config = ConfigDict(strict=True, extra="ignore")

    input: str = Field(min_length=1, max_length=limits.SPEECH_TEXT_CHARS_MAX)
    model: str = ""
    voice: VoiceName = ""
    language: Language = ""
    response_format: Literal["wav", "pcm"] = "wav"
    speed: Speed = 1.0


class TranscriptForm(BaseModel):
    """What was said."""

    text: str


@dataclass(frozen=True, slots=True)
class VoiceForm:
    """What this cluster hears and speaks."""

    hears: bool
    speaks: bool
    speech_to_text: str
    """Name of the engine; empty: there is none."""
    languages: tuple[str, ...]
    """That are heard, the default first; ``*``: any."""
    text_to_speech: str
    voices: tuple[str, ...]
    """Some names, the default first; there may be more."""
