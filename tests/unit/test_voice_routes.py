"""OpenAI's audio routes with real sound, and what a cluster without speech says."""

import io
import wave
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from kotaemon_node.api.app import create_app
from kotaemon_node.domain.sound import Pcm, wav_of
from tests.fakes.services import FakeCluster
from tests.speech import PHRASES, offline, spoken, word_errors

SPEECH = "/v1/audio/speech"
TRANSCRIPTIONS = "/v1/audio/transcriptions"


@pytest.fixture(scope="module")
def client() -> Iterator[FlaskClient]:
    with offline(phrases=PHRASES) as offer:
        yield create_app(replace(FakeCluster().services(), voice=offer)).test_client()


@pytest.mark.long
def test_what_was_said_is_written(client: FlaskClient) -> None:
    wav = wav_of(Pcm(16_000, spoken("how long does shipping take")))

    asked = {"file": (io.BytesIO(wav), "speech.wav"), "model": "whisper-1"}
    answer = client.post(TRANSCRIPTIONS, data=asked)

    assert answer.status_code == 200
    assert word_errors("how long does shipping take", answer.json["text"]) <= 1


def test_what_is_written_is_said_without_its_marks(client: FlaskClient) -> None:
    body = {"input": "**Two** days [1].", "voice": "alloy", "model": "tts-1"}
    marked = client.post(SPEECH, json=body)
    plain = client.post(SPEECH, json={**body, "input": "Two days."})
    pcm = client.post(SPEECH, json={**body, "response_format": "pcm"})

    assert marked.mimetype == "audio/wav"
    # Not the very same: the voice breathes by chance. One word more would be a third.
    assert len(marked.data) == pytest.approx(len(plain.data), rel=0.05)
    with wave.open(io.BytesIO(marked.data)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth()) == (1, 2)
        duration_s = (len(marked.data) - 44) / 2 / sound.getframerate()
    assert duration_s > 0.4
    assert len(pcm.data) / 2 / 24_000 == pytest.approx(duration_s, abs=0.05)


@pytest.mark.parametrize(
    ("raw", "status", "told"),
    [
        (b"ID3 this is an mp3", 400, "WAV"),
        (wav_of(Pcm(16_000, b"")), 400, "no sound"),
        (wav_of(Pcm(4_000, b"\0\0" * 100)), 400, "Hz"),
    ],
)
def test_bad_sound_is_refused_with_a_reason(
    client: FlaskClient, raw: bytes, status: int, told: str
) -> None:
    answer = client.post(TRANSCRIPTIONS, data={"file": (io.BytesIO(raw), "a.wav")})

    assert answer.status_code == status
    assert told in answer.json["error"]["message"]
    assert answer.json["error"]["type"] == "invalid_request_error"


def test_a_form_without_a_file_and_a_strange_voice_are_refused(client: FlaskClient) -> None:
    assert client.post(TRANSCRIPTIONS, data={"model": "a"}).status_code in {400, 415}
    assert client.post(SPEECH, json={"input": "hello", "voice": "nobody"}).status_code == 400
    assert client.post(SPEECH, json={"input": " [1] "}).status_code == 400


def test_a_cluster_without_speech_says_how_to_get_it() -> None:
    client = FakeCluster().client()

    assert client.get("/v1/voice").json["hears"] is False
    assert "TEXT_TO_SPEECH" in client.post(SPEECH, json={"input": "a"}).json["error"]["message"]
    assert client.get("/ws/voice").status_code == 501


def test_the_page_may_ask_what_there_is(client: FlaskClient) -> None:
    told = client.get("/v1/voice").json

    assert told["hears"]
    assert told["speaks"]
    assert told["languages"] == ["en"]
