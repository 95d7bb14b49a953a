"""WAV files and rates of sound. PCM is 16-bit signed little-endian, one channel, elsewhere."""

import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain import speech_limits as limits
from kotaemon_node.domain.errors import Invalid, TooLarge

_TAPS: Final = 64  # 50 dB at half of the lower rate: enough for a recogniser
_PHASES_MAX: Final = 640  # of 11,025 Hz; a rate that needs more is off by 1/1280 sample: 50 dB, too
_BLOCK: Final = 2_048
_EXTENSIBLE: Final = 0xFFFE
_INTEGER: Final = 1
_FLOAT: Final = 3


@dataclass(frozen=True, slots=True)
class Pcm:
    """Sound of one channel."""

    rate_hz: int
    samples: bytes

    @property
    def duration_s(self) -> float:
        """How long it lasts."""
        return len(self.samples) / 2 / self.rate_hz


def wav_header(rate_hz: int, size_bytes: int | None) -> bytes:
    """Return what stands before PCM in a WAV file; None: nobody knows yet how much will come."""
    # Players read on to the end where a file claims to be as long as a file can be.
    data = 0xFFFF_FFFF - 36 if size_bytes is None else size_bytes
    head = struct.pack("<4sI4s", b"RIFF", data + 36, b"WAVE")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, _INTEGER, 1, rate_hz, rate_hz * 2, 2, 16)
    return head + form + struct.pack("<4sI", b"data", data)


def wav_of(pcm: Pcm) -> bytes:
    """Return it as a WAV file."""
    return wav_header(pcm.rate_hz, len(pcm.samples)) + pcm.samples


def read_wav(raw: bytes) -> Pcm:
    """Return the sound of a WAV file, channels mixed. ``Invalid`` says what is wrong with it."""
    if raw[:4] != b"RIFF" or raw[8:12] != b"WAVE":
        raise Invalid("the sound must be a WAV file (RIFF/WAVE, PCM)")
    form, data = _chunks(raw)
    if form is None or len(form) < 16 or data is None:
        raise Invalid("the WAV file is cut off: it has no format or no sound")
    kind, channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", form[:16])
    if kind == _EXTENSIBLE and len(form) >= 26:
        (kind,) = struct.unpack("<H", form[24:26])
    checked_rate(rate_hz)
    if not 1 <= channels <= limits.SOUND_CHANNELS_MAX:
        raise Invalid(f"the WAV file has {channels} channels; 1 or 2 can be read")
    if len(data) * 8 > limits.SOUND_FILE_S_MAX * rate_hz * channels * max(1, bits):
        raise TooLarge(f"the sound is longer than {limits.SOUND_FILE_S_MAX:.0f} s")
    samples = _samples(data, kind, bits)
    samples = samples[: len(samples) // channels * channels].reshape(-1, channels).mean(axis=1)
    pcm = Pcm(rate_hz, _pcm(samples))
    if not pcm.samples:
        raise Invalid("the WAV file has no sound")
    return pcm


def checked_rate(rate_hz: int) -> int:
    """Return the rate; ``Invalid`` where it is none of speech."""
    if not limits.SOUND_RATE_HZ_MIN <= rate_hz <= limits.SOUND_RATE_HZ_MAX:
        raise Invalid(
            f"a rate of {rate_hz} Hz; from {limits.SOUND_RATE_HZ_MIN}"
            f" to {limits.SOUND_RATE_HZ_MAX} Hz can be heard"
        )
    return rate_hz


def _chunks(raw: bytes) -> tuple[bytes | None, bytes | None]:
    form, data, at, count = None, None, 12, 0
    while at + 8 <= len(raw):
        count += 1
        if count > limits.SOUND_FILE_CHUNKS_MAX:
            raise Invalid(
                f"the WAV file has more than {limits.SOUND_FILE_CHUNKS_MAX} chunks before its sound"
            )
        name = raw[at : at + 4]
        (size,) = struct.unpack("<I", raw[at + 4 : at + 8])
        # Of a stream the size is a promise: what is there counts.
        body = raw[at + 8 : at + 8 + size]
        if name == b"fmt ":
            form = body
        elif name == b"data":
            data = body
            break
        at += 8 + size + size % 2
    return form, data


def _samples(data: bytes, kind: int, bits: int) -> NDArray[np.float64]:
    """Return samples from -1 to 1."""
    width = bits // 8
    data = data[: len(data) // width * width] if width else b""
    if (kind, bits) == (_INTEGER, 16):
        return np.frombuffer(data, "<i2").astype(np.float64) / 32_768
    if (kind, bits) == (_INTEGER, 8):
        return np.frombuffer(data, np.uint8).astype(np.float64) / 128 - 1
    if (kind, bits) == (_INTEGER, 24):
        bytes3 = np.frombuffer(data, np.uint8).reshape(-1, 3)
        padded = np.zeros((len(bytes3), 4), np.uint8)
        padded[:, 1:] = bytes3
        return padded.view("<i4").ravel().astype(np.float64) / 2**31
    if (kind, bits) == (_INTEGER, 32):
        return np.frombuffer(data, "<i4").astype(np.float64) / 2**31
    if (kind, bits) == (_FLOAT, 32):
        return np.nan_to_num(np.frombuffer(data, "<f4").astype(np.float64), posinf=1, neginf=-1)
    raise Invalid(f"the WAV file has format {kind} of {bits} bits; PCM of 8 to 32 bits can be read")


def _pcm(samples: NDArray[np.float64]) -> bytes:
    clipped = np.clip(np.round(samples * 32_768), -32_768, 32_767)
    return clipped.astype("<i2").tobytes()


class Resampler:
    """Changes the rate of a stream, piece by piece; pieces may end inside a sample."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        shared = math.gcd(from_hz, to_hz)
        self._up, self._down = to_hz // shared, from_hz // shared
        # Built when sound comes, by whoever computes then.
        self._cut = min(1.0, to_hz / from_hz)
        self._odd = b""
        # Silence before the beginning, so that the first samples have what the filter looks at.
        self._held: NDArray[np.float64] = np.zeros(_TAPS)
        self._at = _TAPS * self._up
        """Of the next sample wanted: place in what is held, in parts of ``1 / up`` samples."""

    def feed(self, pcm: bytes) -> bytes:
        """Return what can be told so far; the filter lags by 32 samples."""
        same = self._up == self._down
        if same and not self._odd and len(pcm) % 2 == 0:
            return pcm
        pcm = self._odd + pcm
        self._odd = pcm[len(pcm) // 2 * 2 :]
        whole = pcm[: len(pcm) // 2 * 2]
        if same:
            return whole
        self._held = np.concatenate([self._held, np.frombuffer(whole, "<i2").astype(np.float64)])
        return self._made()

    def finish(self) -> bytes:
        """Return the rest."""
        if self._up == self._down:
            return b""
        self._odd = b""
        return self.feed(bytes(_TAPS))

    def _made(self) -> bytes:
        half = _TAPS // 2
        last = (len(self._held) - half - 1) * self._up
        count = (last - self._at) // self._down + 1
        if count <= 0:
            return b""
        phases = min(self._up, _PHASES_MAX)
        weights = _weights(phases, self._cut)
        windows = np.lib.stride_tricks.sliding_window_view(self._held, _TAPS)
        out = np.empty(count)
        for start in range(0, count, _BLOCK):  # what is gathered for a block stays in the cache
            wanted = np.arange(start, min(count, start + _BLOCK))
            places = self._at + self._down * wanted
            firsts = places // self._up
            between = (places - firsts * self._up) * phases
            nearest = (between + self._up // 2) // self._up
            out[wanted] = np.einsum("ij,ij->i", windows[firsts - half + 1], weights[nearest])
        self._at += self._down * count
        drop = max(0, self._at // self._up - half)
        self._held, self._at = self._held[drop:], self._at - drop * self._up
        return _pcm(out / 32_768)


@lru_cache(maxsize=16)
def _weights(phases: int, cut: float) -> NDArray[np.float64]:
    """Return a windowed sinc for each place between two samples: (phases + 1, taps)."""
    half = _TAPS // 2
    taps = np.arange(-half + 1, half + 1)
    distances = taps[None, :] - np.arange(phases + 1)[:, None] / phases
    weights = np.sinc(distances * cut) * cut
    weights *= 0.5 + 0.5 * np.cos(np.pi * np.clip(distances / half, -1, 1))
    return weights
