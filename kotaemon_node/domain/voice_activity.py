"""When somebody begins to speak and when they have ended, by how loud it is.

The level of the room is the quietest that was heard lately; voice is what is well above it. Simple,
the same for every engine, and no match for a noisy street: there the client says ``end`` itself.
"""

import math
from typing import Final, Literal

import numpy as np

from kotaemon_node.domain.speech_limits import HEARING_RATE_HZ, SPEECH_BEGINS_S, SPEECH_ENDS_S

Change = Literal["begins", "ends"]

_STEP_S: Final = 0.02
_STEP_BYTES: Final = int(_STEP_S * HEARING_RATE_HZ) * 2
_FLOOR_DB: Final = -60.0  # of full scale: less is a muted microphone, not a quiet room
_ABOVE_DB: Final = 12.0  # speech at arm's length is 20 dB above a living room
_VOICE_DB_MIN: Final = -42.0
_ROOM_RISES_DB: Final = 0.06  # a step, 3 dB a second: a fan that starts is the room soon


class VoiceActivity:
    """Follows one stream of PCM at 16 kHz."""

    def __init__(self) -> None:
        self._rest = b""
        self._room_db = _FLOOR_DB
        self._voiced_s = 0.0
        self._silent_s = 0.0
        self.speaking = False

    @property
    def silent_s(self) -> float:
        """Seconds of silence at the end of what was heard."""
        return self._silent_s

    def feed(self, pcm: bytes) -> list[Change]:
        """Return what changed within this piece, in order."""
        self._rest += pcm
        changes: list[Change] = []
        while len(self._rest) >= _STEP_BYTES:
            step, self._rest = self._rest[:_STEP_BYTES], self._rest[_STEP_BYTES:]
            if change := self._step(level_db(step)):
                changes.append(change)
        return changes

    def _step(self, level: float) -> Change | None:
        voiced = level > max(_VOICE_DB_MIN, self._room_db + _ABOVE_DB)
        # Between words it falls at once: nobody speaks long enough to become the room.
        self._room_db = max(_FLOOR_DB, min(level, self._room_db + _ROOM_RISES_DB))
        self._voiced_s = self._voiced_s + _STEP_S if voiced else 0.0
        self._silent_s = 0.0 if voiced else self._silent_s + _STEP_S
        if not self.speaking and self._voiced_s >= SPEECH_BEGINS_S:
            self.speaking = True
            return "begins"
        if self.speaking and self._silent_s >= SPEECH_ENDS_S:
            self.speaking = False
            return "ends"
        return None


def level_db(pcm: bytes) -> float:
    """Return how loud it is, in dB of full scale; silence is -100."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    if not samples.size:
        return -100.0
    return 20 * math.log10(max(1e-5, math.sqrt(float(np.mean(samples**2))) / 32_768))
