"""Recognising holds up nothing: neither the connection's messages nor the loop of the pod."""

import io
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kotaemon_node.adapters.system.tasks import ThreadTasks
from kotaemon_node.api.app import create_app
from kotaemon_node.api.voice.ear import Aloud, Ear
from kotaemon_node.api.voice.offer import VoiceOffer
from kotaemon_node.domain.sound import Pcm, Resampler, wav_of
from kotaemon_node.domain.speech_limits import SOUND_AHEAD_S, SOUND_PIECES_WAITING_MAX
from kotaemon_node.ports.speech import Speech
from tests.fakes.services import ANSWER, FakeCluster
from tests.fakes.speech import FakeHearing
from tests.socket_server import SocketServer
from tests.speech import talking_to


def test_what_is_said_meanwhile_is_heard_while_an_engine_hangs() -> None:
    cluster, engine = FakeCluster(), FakeHearing()
    engine.may_finish.clear()
    services = replace(cluster.services(), voice=VoiceOffer(Speech(hears=engine)))
    with SocketServer(create_app(services)) as server, talking_to(server.url) as client:
        client.say("start", session_id="s", vad=False)
        client.sound(bytes(3_200))
        client.say("end")
        assert engine.finishing.wait(60)
        client.say("ping")
        meanwhile = client.hear("pong")
        engine.may_finish.set()
        heard = client.hear("done")

    assert meanwhile.of("transcript") == []
    assert heard.one("transcript")["text"] == engine.words
    assert heard.text == ANSWER
    assert len(cluster.turns.submitted) == 1


def test_messages_keep_their_order_while_an_engine_hangs() -> None:
    cluster, engine = FakeCluster(), FakeHearing()
    engine.may_finish.clear()
    services = replace(cluster.services(), voice=VoiceOffer(Speech(hears=engine)))
    with SocketServer(create_app(services)) as server, talking_to(server.url) as client:
        for _ in range(2):
            client.say("start", session_id="s", vad=False)
            client.sound(bytes(3_200))
            client.say("end")
        client.say("start", audio={"format": "mp3"})
        client.hear("error")
        engine.may_finish.set()
        heard = client.hear("done").messages + client.hear("done").messages

    assert [said["text"] for said in heard if said["type"] == "transcript"] == [engine.words] * 2
    assert len(cluster.turns.submitted) == 2


@pytest.mark.parametrize(
    ("seconds", "at_once"),
    [(1.0, 2 * SOUND_AHEAD_S + 2), (0.0, 2 * SOUND_PIECES_WAITING_MAX + 2)],
)
def test_sound_that_comes_too_fast_waits(seconds: float, at_once: float) -> None:
    heard: list[Aloud] = []
    ended, go_on = threading.Event(), threading.Event()

    def hear(aloud: Aloud) -> bool:
        heard.append(aloud)
        return bool(seconds) or go_on.wait(60)  # what is no sound is held up by the engine alone

    ear = Ear(hear, ended=ended.set)
    taken = 0
    while ear.put(Aloud(b"", "", seconds=seconds), 0.2):
        taken += 1
        assert taken <= at_once

    assert ear.busy
    assert len(heard) <= (SOUND_AHEAD_S + 2 if seconds else 1)
    go_on.set()
    ear.close()
    assert ended.is_set()
    assert not ear.busy
    assert ear.put(Aloud(b"", ""), 0)  # and nobody waits for an ear that is closed


def test_filters_run_where_they_hold_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[str] = set()

    def noting(work: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            threads.add(threading.current_thread().name[:6])
            return work(*arguments)

        return noted

    monkeypatch.setattr(Resampler, "feed", noting(Resampler.feed))
    monkeypatch.setattr(
        "kotaemon_node.api.voice.audio.read_wav",
        noting(lambda _: Pcm(48_000, bytes(9_600))),
    )
    engine = FakeHearing()
    offer = VoiceOffer(Speech(hears=engine), compute=ThreadTasks().compute)
    app = create_app(replace(FakeCluster().services(), voice=offer))
    asked = {"file": (io.BytesIO(wav_of(Pcm(48_000, bytes(9_600)))), "speech.wav")}

    assert app.test_client().post("/v1/audio/transcriptions", data=asked).status_code == 200
    assert len(engine.heard) == pytest.approx(3_200, abs=100)
    with SocketServer(app) as server, talking_to(server.url) as client:
        client.say("start", session_id="s", vad=False, audio={"rate_hz": 8_000})
        client.sound(bytes(3_200))
        client.say("end")
        client.hear("done")
    assert len(engine.heard) == pytest.approx(3_200 + 6_400, abs=200)
    assert threads == {"native"}
