"""How soon an answer to speech came: seconds since its speaker fell silent."""

import time
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Latency:
    """Of one utterance. ``ended_s``: when it ended (monotonic)."""

    turn_id: str
    ended_s: float
    transcript_s: float
    first_text_s: float | None = None
    first_sound_s: float | None = None
    told: bool = False

    def text_came(self) -> None:
        """Note text of the answer; the first counts."""
        if self.first_text_s is None:
            self.first_text_s = time.monotonic() - self.ended_s

    def sound_came(self) -> None:
        """Note sound of the answer."""
        self.first_sound_s = time.monotonic() - self.ended_s

    def as_dict(self) -> dict[str, Any]:
        """Return the message that tells it."""
        figures = {
            "transcript_s": self.transcript_s,
            "first_text_s": self.first_text_s,
            "first_sound_s": self.first_sound_s,
        }
        rounded = {name: round(value, 3) for name, value in figures.items() if value is not None}
        return {"type": "latency", "turn_id": self.turn_id, **rounded}
