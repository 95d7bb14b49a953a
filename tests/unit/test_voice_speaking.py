"""A spoken answer takes the frames of one follower, and ends with it."""

import threading
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest

from kotaemon_node.api.voice.conversation import VoiceConversation
from kotaemon_node.api.voice.offer import VoiceOffer
from kotaemon_node.api.voice.speaking import SpokenTurn
from kotaemon_node.api.websocket.pace import Pace
from kotaemon_node.domain.errors import Overloaded
from kotaemon_node.domain.frames import Frame, FrameType
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.speech import Speech, Voice
from tests.fakes.speech import FakeSpeaking

TURN = TurnKey(SessionKey("default", "s"), "t")


class Spoken:
    """A spoken turn whose task runs."""

    def __init__(self) -> None:
        self.engine = FakeSpeaking()
        self.told: list[dict[str, Any]] = []
        self.turn = SpokenTurn(
            "t",
            speaks=self.engine,
            voice=Voice(),
            heard=0,
            say=lambda said: None if isinstance(said, bytes) else self.told.append(said),
            sounded=lambda: None,
        )
        self.task = threading.Thread(target=self.turn.run, daemon=True)
        self.task.start()

    def take(self, kind: FrameType, **fields: Any) -> None:
        self.turn.take(Frame(kind, fields, "t", "", seq=1))

    def finished(self) -> bool:
        self.task.join(60)
        return not self.task.is_alive()


def test_text_from_the_middle_of_an_answer_is_not_taken_for_its_beginning() -> None:
    spoken = Spoken()
    spoken.take("text", content="Late words here. ", offset=40)
    spoken.take("text", content="It takes ", offset=0)
    spoken.take("text", content="takes two days.", offset=3)
    spoken.take("done", state="done")

    assert spoken.finished()
    assert spoken.engine.said == ["It takes two days."]
    (audio,) = [said for said in spoken.told if said["type"] == "audio"]
    assert (audio["start"], audio["end"]) == (0, 18)


def test_who_is_told_to_come_back_is_not_spoken_to_any_more() -> None:
    spoken = Spoken()
    spoken.take("text", content="It takes two", offset=0)
    spoken.take("reconnect", retry_ms=1)

    assert spoken.finished()
    assert spoken.turn.over
    assert [said["type"] for said in spoken.told] == []


class Talk(VoiceConversation):
    """A conversation whose turns are followed by hand."""

    def __init__(self) -> None:
        self.slots = MagicMock()
        super().__init__(
            MagicMock(),
            MagicMock(),
            VoiceOffer(Speech(speaks=FakeSpeaking())),
            pace=Pace(chars_per_s=50_000),
            slots=self.slots,
            spread=lambda _: 0,
        )

    def followed(self, key: TurnKey, stop: Callable[[], None]) -> None:
        turn = MagicMock(key=key, over=False)
        turn.stop.side_effect = stop
        self._followed[key] = MagicMock(turn=turn, slot=False)

    def begin(self, key: TurnKey) -> None:
        self._begin_following(key, after=0, trace_id="")

    @property
    def spoken(self) -> SpokenTurn | None:
        return self._spoken


def test_a_turn_that_is_followed_anew_is_spoken_anew_behind_its_last_frame() -> None:
    talk = Talk()
    spoken_at_stop: list[SpokenTurn | None] = []
    talk.followed(TURN, lambda: spoken_at_stop.append(talk.spoken))

    talk.begin(TURN)

    assert spoken_at_stop[0] is None  # what came until then was not taken by the new one
    assert talk.spoken is not None


def test_an_answer_that_nobody_can_tell_is_not_waited_for() -> None:
    talk = Talk()
    talk.followed(TurnKey(TURN.session, "other"), lambda: None)
    talk.slots.take.side_effect = Overloaded("no slot")

    with pytest.raises(Overloaded):
        talk.begin(TURN)

    spoken = talk.spoken
    assert spoken is not None
    deadline_s = time.monotonic() + 60
    while not spoken.over and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert spoken.over
