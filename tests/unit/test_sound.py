"""WAV files, rates of sound, and when somebody speaks."""

import math
import struct
import time
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kotaemon_node.domain.errors import Invalid, TooLarge
from kotaemon_node.domain.sound import Pcm, Resampler, read_wav, wav_of
from kotaemon_node.domain.voice_activity import VoiceActivity, level_db
from tests.speech import at_rate


def tone(rate_hz: int, *, seconds: float = 0.5, loud: float = 10_000) -> bytes:
    at = np.arange(int(rate_hz * seconds)) / rate_hz
    return (np.sin(2 * math.pi * 440 * at) * loud).astype("<i2").tobytes()


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_a_tone_stays_the_same_tone_at_another_rate(rate_hz: int) -> None:
    changed = np.frombuffer(at_rate(Pcm(rate_hz, tone(rate_hz)), 16_000), "<i2").astype(float)
    wanted = np.frombuffer(tone(16_000), "<i2").astype(float)[: len(changed)]

    assert len(changed) == pytest.approx(8_000, abs=2)
    assert np.abs(changed[100:-100] - wanted[100:-100]).max() < 20


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 44_100, 47_999, 48_000])
def test_a_rate_is_changed_a_hundred_times_faster_than_people_speak(rate_hz: int) -> None:
    seconds = 10
    pcm = Pcm(rate_hz, tone(rate_hz, seconds=seconds))
    at_rate(Pcm(rate_hz, pcm.samples[:8_000]), 16_000)  # the filter is made once
    before_s = time.thread_time()

    changed = at_rate(pcm, 16_000)

    # 0.04 s here; a filter that is made anew for each sample took 0.8 s.
    assert time.thread_time() - before_s < seconds / 25
    assert len(changed) / 32_000 == pytest.approx(seconds, abs=0.001)


@settings(deadline=None, max_examples=20)
@given(st.integers(7, 997))
def test_pieces_of_any_size_make_the_same_sound(size: int) -> None:
    sound, resampler = tone(22_050, seconds=0.1), Resampler(22_050, 16_000)
    pieces = [resampler.feed(sound[at : at + size]) for at in range(0, len(sound), size)]

    assert b"".join(pieces) + resampler.finish() == at_rate(Pcm(22_050, sound), 16_000)


def form_of(kind: int, channels: int, bits: int, data: bytes) -> bytes:
    width = channels * bits // 8
    head = struct.pack("<HHIIHH", kind, channels, 16_000, 16_000 * width, width, bits)
    body = b"fmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


@pytest.mark.parametrize(
    ("kind", "bits", "raw"),
    [
        (1, 8, bytes([192])),
        (1, 16, struct.pack("<h", 16_384)),
        (1, 24, b"\x00\x00\x40"),
        (1, 32, struct.pack("<i", 1 << 30)),
        (3, 32, struct.pack("<f", 0.5)),
    ],
)
def test_every_kind_of_pcm_is_read(kind: int, bits: int, raw: bytes) -> None:
    assert read_wav(form_of(kind, 1, bits, raw * 4)).samples == struct.pack("<4h", *[16_384] * 4)
    assert read_wav(form_of(kind, 2, bits, raw * 4)).samples == struct.pack("<2h", *[16_384] * 2)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    for written in (raw, b"RIFF\0\0\0\0WAVE" + raw, form_of(1, 1, 16, b"\1\0")[:-2] + raw):
        with suppress(Invalid, TooLarge):  # anything else is a bug
            read_wav(written)


def test_speech_begins_and_ends_where_it_is_loud() -> None:
    activity, quiet = VoiceActivity(), bytes(32_000)
    assert activity.feed(quiet) == []
    assert activity.feed(tone(16_000, seconds=0.08)) == []  # a click
    assert activity.feed(quiet) == []
    assert activity.feed(tone(16_000)) == ["begins"]
    assert activity.feed(quiet[:16_000]) == []  # half a second is a pause
    assert activity.feed(tone(16_000)) == []
    assert activity.feed(quiet) == ["ends"]
    assert not activity.speaking


def test_a_fan_is_no_speech() -> None:
    noise = (np.random.default_rng(7).normal(size=16_000 * 20) * 500).astype("<i2").tobytes()
    activity = VoiceActivity()
    activity.feed(noise[: len(noise) // 2])

    assert activity.feed(noise[len(noise) // 2 :]) in ([], ["ends"])
    assert level_db(noise) < -30
    assert activity.feed(tone(16_000)) == ["begins"]


def test_a_file_that_is_too_long_is_refused() -> None:
    with pytest.raises(TooLarge):
        read_wav(wav_of(Pcm(8_000, bytes(2 * 8_000 * 121))))


def test_a_file_of_many_empty_chunks_is_refused() -> None:
    sound = form_of(1, 1, 16, bytes(200))

    assert read_wav(sound[:12] + b"LIST\0\0\0\0" * 10 + sound[12:]).samples == bytes(200)
    with pytest.raises(Invalid, match="chunks"):
        read_wav(sound[:12] + b"LIST\0\0\0\0" * 2_000 + sound[12:])
