"""A conversation by voice: all of ``/ws/chat``, and beside it speech in and speech out.

What is heard becomes the message of an ordinary turn. Its frames go out as on ``/ws/chat``, and
what is text among them is spoken. Nothing of it outlives the connection: a client that comes to
another pod says ``resume`` with the frames that it has and how far it has heard.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog

from kotaemon_node.api.answers import to_json
from kotaemon_node.api.streams import StreamSlots
from kotaemon_node.api.voice.ear import Aloud, Ear
from kotaemon_node.api.voice.hearing import Listener, Utterance
from kotaemon_node.api.voice.latency import Latency
from kotaemon_node.api.voice.messages import (
    EndSaid,
    HushSaid,
    StartSaid,
    VoiceResumeSaid,
    VoiceSaid,
    read_voice_said,
)
from kotaemon_node.api.voice.offer import VoiceOffer
from kotaemon_node.api.voice.speaking import SpokenTurn, ended_quietly
from kotaemon_node.api.websocket.connection import Connection, ConnectionEnded
from kotaemon_node.api.websocket.conversation import Conversation
from kotaemon_node.api.websocket.desk import Desk
from kotaemon_node.api.websocket.messages import MessageSaid
from kotaemon_node.api.websocket.pace import Pace
from kotaemon_node.domain import speech_limits as limits
from kotaemon_node.domain.errors import (
    Invalid,
    NodeError,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.session import TurnKey
from kotaemon_node.ports.speech import Voice

_log = structlog.get_logger(__name__)


class VoiceConversation(Conversation):
    """``run`` serves the connection to its end; ``leave`` may be called from another task."""

    def __init__(
        self,
        connection: Connection,
        desk: Desk,
        offer: VoiceOffer,
        *,
        pace: Pace,
        slots: StreamSlots,
        spread: Callable[[int], int],
    ) -> None:
        super().__init__(connection, desk, pace=pace, slots=slots, spread=spread)
        self._offer = offer
        self._ear = Ear(self._listen, ended=self._give_up)
        self._start: StartSaid | None = None
        self._listener: Listener | None = None
        """Both are the ear's."""
        self._acting = threading.RLock()
        """Held by whoever does what was said or heard, one at a time; never while the ear waits."""
        self._rate_hz = 0
        """Of the sound that comes; 0 before the first start."""
        self._voice = Voice() if offer.speech.speaks else None
        """How the next answer is spoken; None: it is not."""
        self._spoken: SpokenTurn | None = None
        self._shown: dict[str, int] = {}
        """Of turns that were resumed: the last frame that the client had."""
        self._latency: Latency | None = None

    @property
    def busy(self) -> bool:
        """True while a turn is told or spoken here, or speech is recognised."""
        spoken = self._spoken
        return super().busy or self._ear.busy or (spoken is not None and not spoken.over)

    def run(self) -> None:
        """See ``Conversation``."""
        try:
            super().run()
        finally:
            with suppress(ConnectionEnded):
                self._hush("closed")
            self._ear.close()

    # --- what the client says -------------------------------------------------------------------

    def _hear(self, said: str | bytes) -> None:
        trace_id = self._desk.fresh_trace_id()
        with self._refusing({}, trace_id), self._counted():
            if isinstance(said, bytes):
                self._sound(said, trace_id)
            elif (found := read_voice_said(said)) is None:
                with self._acting:
                    super()._hear(said)
            else:
                with suppress(Unavailable):
                    self._desk.admitted()
                self._do_voice(*found, trace_id)

    def _do_voice(self, wanted: VoiceSaid, fields: dict[str, Any], trace_id: str) -> None:
        with self._refusing(fields, trace_id):
            if isinstance(wanted, VoiceResumeSaid):
                with self._acting:
                    self._resume(wanted, trace_id)
                return
            with self._counted():
                self._do_aloud(wanted, fields, trace_id)

    def _do_aloud(
        self, wanted: StartSaid | EndSaid | HushSaid, fields: dict[str, Any], trace_id: str
    ) -> None:
        match wanted:
            case StartSaid():
                self._begin(wanted, trace_id)
            case EndSaid():
                if not self._rate_hz:
                    raise Invalid("there is no utterance to end; begin one with start")
                self._put(Aloud(wanted, trace_id, fields))
            case HushSaid():
                with self._acting:
                    self._hush("hushed")

    @contextmanager
    def _refusing(self, fields: dict[str, Any], trace_id: str) -> Iterator[None]:
        """Tell what cannot be done, and go on; whose credential counts no more is sent away."""
        with self._telling(fields, trace_id, stop=lambda: self._stop_listening(trace_id)):
            yield

    @contextmanager
    def _telling(
        self, fields: dict[str, Any], trace_id: str, *, stop: Callable[[], None]
    ) -> Iterator[None]:
        try:
            yield
        except (Unauthenticated, ConnectionEnded):
            raise
        except NodeError as error:
            stop()
            self._refuse(error, fields, trace_id)
        except Exception:  # noqa: BLE001 - one message that we cannot bear must not end the others
            _log.exception("voice_message_failed")
            stop()
            self._refuse(NodeError(""), fields, trace_id)

    # --- hearing --------------------------------------------------------------------------------

    def _begin(self, start: StartSaid, trace_id: str) -> None:
        self._offer.hears()
        self._voice = _voice_of(start) if start.speak and self._offer.speech.speaks else None
        if self._voice is not None:
            threading.Thread(target=self._prepare, daemon=True).start()
        self._rate_hz = start.audio.rate_hz
        self._put(Aloud(start, trace_id))

    def _stop_listening(self, trace_id: str) -> None:
        if self._rate_hz:
            self._put(Aloud("drop", trace_id))

    def _prepare(self) -> None:
        speaks = self._offer.speech.speaks
        with suppress(NodeError):  # it is told when something is to be said
            if speaks is not None:
                speaks.prepare()

    def _sound(self, sound: bytes, trace_id: str) -> None:
        if not self._rate_hz:
            raise Invalid("sound came before start")
        if len(sound) > limits.SOUND_PIECE_BYTES_MAX:
            raise TooLarge(f"a piece of sound has at most {limits.SOUND_PIECE_BYTES_MAX} bytes")
        self._put(Aloud(sound, trace_id, seconds=len(sound) / 2 / self._rate_hz))

    def _put(self, aloud: Aloud) -> None:
        """Leave it to the ear. While there is no room nothing is read, but the pulse is kept."""
        while not self._ear.put(aloud, self._until_ping_s()):
            self._connection.pings_unanswered = 0  # answers wait behind the sound
            self._keep_pulse()

    def _listen(self, aloud: Aloud) -> bool:
        """Hear what was said aloud, in the ear's task; False: nobody is there any more."""
        try:
            with self._telling(aloud.fields, aloud.trace_id, stop=self._give_up):
                self._recognise(aloud)
        except Unauthenticated as error:
            self._send_away(error)
            return False
        except ConnectionEnded:
            return False
        return True

    def _recognise(self, aloud: Aloud) -> None:
        utterance: Utterance | None = None
        match aloud.said:
            case StartSaid() as start:
                self._give_up()
                self._start = start
                self._listener = Listener(
                    start,
                    self._offer.hears(),
                    compute=self._offer.compute,
                    begins=self._barge_in,
                    partial=self._tell_partial,
                )
            case EndSaid():
                assert self._listener is not None
                utterance = self._listener.end(aloud.came_s)
            case bytes() as sound:
                assert self._listener is not None
                utterance = self._listener.feed(sound, aloud.came_s)
            case "drop":
                self._give_up()
        if utterance is not None:
            with self._acting:
                self._heard(utterance, aloud.trace_id)

    def _give_up(self) -> None:
        if self._listener is not None:
            self._listener.give_up()

    def _barge_in(self) -> None:
        with self._acting:
            self._hush("barge_in")

    def _tell_partial(self, text: str) -> None:
        self._answer({"type": "transcript", "text": text, "final": False})

    def _heard(self, utterance: Utterance, trace_id: str) -> None:
        """Have what was said run as a turn."""
        said, start = utterance.transcript, self._start
        assert start is not None
        turn_id = start.turn_id or self._desk.fresh_trace_id()
        self._start = start.model_copy(update={"turn_id": None})
        text = said.text.strip()
        told: dict[str, Any] = {"type": "transcript", "text": text, "final": True}
        if said.language:
            told["language"] = said.language
        if said.confidence is not None:
            told["confidence"] = round(said.confidence, 3)
        if not text:
            self._answer(told)
            return
        now_s = time.monotonic()
        self._latency = Latency(turn_id, utterance.ended_s, now_s - utterance.ended_s)
        self._answer({**told, "turn_id": turn_id})
        message = {
            "text": text,
            "session_id": start.session_id,
            "turn_id": turn_id,
            "kb": start.kb,
            "on_busy": start.on_busy,
        }
        asked = MessageSaid.model_validate(
            {name: value for name, value in message.items() if value is not None}
        )
        self._message(asked, trace_id)
        if start.session_id is not None:  # else it was announced, with the session that was made
            fields = {"session_id": start.session_id, "message": text, "state": "running"}
            self._answer(Frame("turn", fields, turn_id, trace_id, seq=None).as_dict())

    # --- speaking -------------------------------------------------------------------------------

    def _resume(self, said: VoiceResumeSaid, trace_id: str) -> None:
        with self._counted():
            key = self._desk.key(said.session_id, said.turn_id)
        self._desk.count(key)
        speaks = said.speak and self._offer.speech.speaks is not None
        self._voice = _voice_of(said) if speaks else None
        self._shown = {said.turn_id: said.after}
        # Where a sentence began may stand in frames that the client has: all are read again.
        after = 0 if speaks else said.after
        self._begin_following(key, after=after, trace_id=trace_id, heard=said.spoken)

    def _begin_following(self, key: TurnKey, *, after: int, trace_id: str, heard: int = 0) -> None:
        for turn in self._now():
            if turn.key == key:
                turn.stop()  # its late frames are not what is spoken from now on
        self._speak(key.turn_id, self._voice, heard=heard)
        try:
            super()._begin_following(key, after=after, trace_id=trace_id)
        except NodeError:
            if self._spoken is not None:
                self._spoken.leave()  # nobody will tell it that there is no more
            raise

    def _speak(self, turn_id: str, voice: Voice | None, *, heard: int) -> None:
        """Speak the answer of this turn from now on, and no other."""
        self._hush("next")
        speaks = self._offer.speech.speaks
        if voice is None or speaks is None:
            return
        self._spoken = SpokenTurn(
            turn_id,
            speaks=speaks,
            voice=voice,
            heard=heard,
            say=self._say,
            sounded=lambda: self._note_sound(turn_id),
        )
        threading.Thread(
            target=ended_quietly, args=(self._spoken, ConnectionEnded), daemon=True
        ).start()

    def _hush(self, reason: str) -> None:
        spoken, self._spoken = self._spoken, None
        if spoken is not None:
            spoken.stop(reason)

    def _say(self, message: dict[str, Any] | bytes) -> None:
        if isinstance(message, bytes):
            self._connection.send(message)
        else:
            self._answer(message)

    # --- frames ---------------------------------------------------------------------------------

    def _tell(self, frame: Frame) -> None:
        if frame.seq is None or frame.seq > self._shown.get(frame.turn_id, 0):
            super()._tell(frame)
        latency = self._latency
        if latency is not None and frame.turn_id == latency.turn_id:
            if frame.type == "text":
                latency.text_came()
            if frame.terminal and self._spoken is None:
                self._tell_latency(latency)
        spoken = self._spoken
        if spoken is not None and spoken.turn_id == frame.turn_id:
            spoken.take(frame)

    def _note_sound(self, turn_id: str) -> None:
        latency = self._latency
        if latency is None or latency.turn_id != turn_id or latency.told:
            return
        latency.sound_came()
        self._tell_latency(latency)

    def _tell_latency(self, latency: Latency) -> None:
        if latency.told:
            return
        latency.told = True
        self._connection.send(to_json(latency.as_dict()).decode())


def _voice_of(said: StartSaid | VoiceResumeSaid) -> Voice:
    return Voice(name=said.voice, speed=said.speed)
