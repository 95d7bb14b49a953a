"""OpenAI's form of speech from both sides: its library against our routes, our adapters as well."""

import io
import threading
from collections.abc import Iterator
from dataclasses import replace

import openai
import pytest
from werkzeug.serving import make_server

from kotaemon_node.adapters.speech.errors import SpeechSetupError
from kotaemon_node.adapters.speech.server import ServerHearing, ServerSpeaking, SpeechPlace
from kotaemon_node.adapters.system import RandomIds
from kotaemon_node.api.app import create_app
from kotaemon_node.domain.errors import Invalid, SpeechFailed
from kotaemon_node.domain.limits import BREAKER_FAILURES
from kotaemon_node.domain.sound import Pcm, wav_of
from kotaemon_node.engine.breaking import MemoryBreaker
from kotaemon_node.engine.speech_guard import GuardedSpeaking
from kotaemon_node.ports.speech import Voice
from tests.fakes.services import FakeClock, FakeCluster
from tests.speech import offline, spoken, word_errors

QUESTION = "can I cancel my order"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with offline() as offer:
        app = create_app(replace(FakeCluster().services(), voice=offer))
        server = make_server("127.0.0.1", 0, app, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def test_openais_library_hears_and_speaks(url: str) -> None:
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
    said = ("question.wav", io.BytesIO(wav_of(Pcm(16_000, spoken(QUESTION)))))

    heard = client.audio.transcriptions.create(model="whisper-1", file=said)
    speech = client.audio.speech.create(
        model="tts-1", voice="alloy", input="Two days.", response_format="pcm"
    )

    assert word_errors(QUESTION, heard.text) <= 1
    assert len(speech.content) > 24_000
    with pytest.raises(openai.BadRequestError, match="WAV"):
        client.audio.transcriptions.create(model="m", file=("a.mp3", io.BytesIO(b"ID3")))


@pytest.mark.long
def test_a_server_in_openais_form_hears_and_speaks_for_us(url: str) -> None:
    place = SpeechPlace(url, "key", "model")
    with ServerHearing(place).listen("en") as hearing:
        hearing.feed(spoken(QUESTION))
        said = hearing.finish()
    sound = ServerSpeaking(place, voice="alloy").speak("Two days.", Voice())

    assert word_errors(QUESTION, said.text) <= 1
    assert len(b"".join(sound.pieces)) / 2 / sound.rate_hz > 0.4
    with pytest.raises(Invalid):
        ServerSpeaking(place, voice="nobody").speak("Two days.", Voice())


def test_a_server_that_is_away_is_not_asked_for_a_while() -> None:
    away = ServerSpeaking(SpeechPlace("http://127.0.0.1:9/v1", "", "m"), voice="alloy")
    guarded = GuardedSpeaking(away, MemoryBreaker(clock=FakeClock()), ids=RandomIds())

    for _ in range(BREAKER_FAILURES):
        with pytest.raises(SpeechFailed, match="does not answer"):
            guarded.speak("Two days.", Voice())
    with pytest.raises(SpeechFailed, match="not asked"):
        guarded.speak("Two days.", Voice())


def test_an_address_that_is_none_stops_the_pod() -> None:
    with pytest.raises(SpeechSetupError):
        ServerSpeaking(SpeechPlace("localhost:80", "", "m"), voice="alloy")
