"""``/ws/voice`` with real sound: a spoken question is understood, answered, and answered aloud."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psutil
import pytest

from kotaemon_node.api.app import create_app
from kotaemon_node.api.voice.offer import VoiceOffer
from kotaemon_node.domain.sound import Pcm
from kotaemon_node.domain.speech_limits import SOUND_PIECE_BYTES_MAX
from kotaemon_node.domain.turn import State
from kotaemon_node.domain.voice_activity import level_db
from tests.fakes.services import ANSWER, FakeCluster
from tests.socket_server import SocketServer
from tests.speech import SILENCE, VoiceClient, offline, spoken, talking_to, word_errors

QUESTION = "where is my order"


@pytest.fixture(scope="module")
def offer() -> Iterator[VoiceOffer]:
    with offline() as pair:
        yield pair


@pytest.fixture(scope="module")
def question() -> bytes:
    return spoken(QUESTION)


@contextmanager
def talking(cluster: FakeCluster, offer: VoiceOffer) -> Iterator[VoiceClient]:
    services = replace(cluster.services(), voice=offer)
    with SocketServer(create_app(services)) as server, talking_to(server.url) as client:
        yield client


def test_a_spoken_question_is_a_turn_whose_answer_is_spoken(
    offer: VoiceOffer, question: bytes
) -> None:
    cluster = FakeCluster()
    with talking(cluster, offer) as client:
        client.say("start", session_id="s", turn_id="t", vad=False, language="en")
        client.sound(question)
        client.say("end")
        heard = client.hear("done", "latency", "spoken")

    final = heard.of("transcript")[-1]
    assert final["final"]
    assert word_errors(QUESTION, final["text"]) <= 1
    assert cluster.turns.submitted[0].message == final["text"]
    assert heard.text == heard.one("done")["answer"] == ANSWER
    assert "[1]" not in heard.one("audio")["text"]
    rate_hz = heard.one("audio")["rate_hz"]
    pcm = Pcm(rate_hz, b"".join(heard.sound))
    assert pcm.duration_s == pytest.approx(heard.one("audio_end")["duration_s"], abs=0.01)
    assert pcm.duration_s > 1
    assert level_db(pcm.samples) > -40
    figures = heard.one("latency")
    assert 0 <= figures["transcript_s"] <= figures["first_text_s"] <= figures["first_sound_s"]


@pytest.mark.long
def test_silence_ends_a_question_and_the_next_one_hushes_the_answer(
    offer: VoiceOffer, question: bytes
) -> None:
    cluster = FakeCluster()
    # Two minutes of sound: it is being spoken when the next question comes, on any machine.
    cluster.turns.ending = {"state": State.DONE, "answer": "It takes two days. " * 100}
    with talking(cluster, offer) as client:
        client.say("start", session_id="s", continuous=True)
        client.sound(question + SILENCE)
        client.hear("audio")
        client.sound(question)
        stopped = client.hear("audio_stop").one("audio_stop")
        client.sound(SILENCE)
        client.hear("audio")

    assert stopped["reason"] == "barge_in"
    turns = cluster.turns.submitted
    assert len(turns) == 2
    assert turns[0].key.turn_id != turns[1].key.turn_id
    assert {turn.on_busy for turn in turns} == {"interrupt"}


def test_who_comes_back_gets_the_frames_and_the_sentences_that_are_missing(
    offer: VoiceOffer,
) -> None:
    cluster = FakeCluster()
    answer = "It takes two days. It costs nothing. [1]"
    cluster.turns.ending = {"state": State.DONE, "answer": answer}
    with talking(cluster, offer) as client:
        client.say("message", session_id="s", turn_id="t", text="how long")
        whole = client.hear("done", "spoken")
    last = whole.of("text")[-1]["seq"]
    with talking(cluster, offer) as client:
        client.say("resume", session_id="s", turn_id="t", after=last, spoken=18)
        rest = client.hear("done", "spoken")

    assert [said["text"] for said in whole.of("audio")] == [
        "It takes two days.",
        "It costs nothing.",
    ]
    assert [said["text"] for said in rest.of("audio")] == ["It costs nothing."]
    assert rest.of("text") == []
    assert sum(map(len, rest.sound)) < sum(map(len, whole.sound))


def test_what_cannot_be_heard_is_told_and_the_conversation_goes_on(offer: VoiceOffer) -> None:
    with talking(FakeCluster(), offer) as client:
        client.sound(b"\0\0")
        assert client.hear("error").one("error")["code"] == "invalid"
        client.say("start", audio={"format": "mp3", "rate_hz": 16_000})
        assert client.hear("error").one("error")["code"] == "invalid"
        client.say("start", language="zh", vad=False)
        client.sound(SILENCE)
        assert "hears en" in client.hear("error").one("error")["message"]
        client.say("start", vad=False)
        client.connection.send(bytes(SOUND_PIECE_BYTES_MAX + 2))
        assert client.hear("error").one("error")["code"] == "too_large"
        client.say("start", vad=False)
        client.sound(SILENCE)
        client.say("end")
        assert client.hear("transcript").of("transcript")[-1]["final"]


@pytest.mark.long
def test_an_engine_that_is_killed_is_replaced(offer: VoiceOffer, question: bytes) -> None:
    with talking(FakeCluster(), offer) as client:
        client.say("start", vad=False)
        client.sound(question)
        client.say("end")
        client.hear("spoken")
        for process in psutil.Process().children():
            if "kotaemon_node.adapters.speech" in " ".join(process.cmdline()):
                process.kill()
        client.say("start", vad=False)
        client.sound(question)
        client.say("end")
        assert client.hear("error").of("error")[-1]["code"] == "speech_failed"
        client.say("start", vad=False)
        client.sound(question)
        client.say("end")
        assert client.hear("done").one("done")["state"] == "done"
