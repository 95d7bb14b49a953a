"""OpenAI's audio routes: a file of speech to text, and text to speech."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

import structlog
from flask import Blueprint, Response, g, request
from werkzeug.exceptions import HTTPException

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.body import checked, read_body
from kotaemon_node.api.context import services
from kotaemon_node.api.errors import UnsupportedMediaType
from kotaemon_node.api.openai.errors import REQUEST_ID_HEADER
from kotaemon_node.api.voice.forms import SpeechBody, TranscriptForm, TranscriptionFields
from kotaemon_node.domain import speech_limits as limits
from kotaemon_node.domain.errors import Invalid, Malformed, NodeError
from kotaemon_node.domain.sound import Pcm, Resampler, read_wav, wav_header
from kotaemon_node.domain.speakable import speakable
from kotaemon_node.ports.speech import Sound, Transcript, Voice, finish

_log = structlog.get_logger(__name__)

routes: Final = Blueprint("audio", __name__)

_FEED_S: Final = 0.5  # of sound between two chances for others
_PCM_RATE_HZ: Final = 24_000  # what clients of OpenAI take `pcm` for


@routes.after_request
def name_request(answer: Response) -> Response:
    """Tell the request's id under the name that clients look for."""
    answer.headers[REQUEST_ID_HEADER] = g.trace_id
    return answer


@routes.post("/v1/audio/transcriptions")
def transcribe() -> Response:
    """Return what is said in a WAV file, as OpenAI's route of this name does."""
    offer = services().voice
    engine = offer.hears()
    fields, raw = _form()
    with offer.room.taken():
        pcm: Pcm = offer.compute(read_wav, raw)
        resampler = Resampler(pcm.rate_hz, limits.HEARING_RATE_HZ)
        step = int(pcm.rate_hz * _FEED_S) * 2
        with engine.listen(fields.language) as hearing:
            for start in range(0, len(pcm.samples), step):
                piece = pcm.samples[start : start + step]
                hearing.feed(offer.compute(resampler.feed, piece))
            hearing.feed(offer.compute(resampler.finish))
            said = hearing.finish()
    return _written(said, pcm, fields.response_format)


@routes.post("/v1/audio/speech")
def speak() -> Response:
    """Say a text, as OpenAI's route of this name does; `response_format` is `wav` or `pcm`."""
    offer = services().voice
    engine = offer.speaks()
    body = read_body(SpeechBody)
    text = speakable(body.input)
    if not text:
        raise Invalid("input: there is nothing in it that can be said")
    place = ExitStack()
    place.enter_context(offer.room.taken())  # until all is read: sound waits in memory
    with place:
        sound = engine.speak(text, Voice(body.language, body.voice, body.speed))
        held = place.pop_all()
    wav = body.response_format == "wav"
    pieces = _sent(
        sound, rate_hz=sound.rate_hz if wav else _PCM_RATE_HZ, wav=wav, compute=offer.compute
    )
    answer = Response(pieces, mimetype="audio/wav" if wav else "audio/pcm")
    answer.call_on_close(held.close)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _form() -> tuple[TranscriptionFields, bytes]:
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("the body must be multipart/form-data, with a field file")
    request.max_content_length = limits.SOUND_FILE_BYTES_MAX
    try:
        files, fields = request.files, request.form
    except HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - servers' errors for broken bodies share no base
        _log.info("form_broken", error=repr(error))
        raise Malformed(f"the form is broken: {type(error).__name__}") from None
    if "file" not in files:
        raise Invalid("file: the form has none; send a WAV file")
    return checked(TranscriptionFields, fields.to_dict()), files["file"].read()


def _written(said: Transcript, pcm: Pcm, form: str) -> Response:
    if form == "text":
        return Response(said.text + "\n", mimetype="text/plain")
    if form == "json":
        return json_answer(TranscriptForm(text=said.text).model_dump())
    told: dict[str, Any] = {
        "task": "transcribe",
        "language": said.language,
        "duration": round(pcm.duration_s, 3),
        "text": said.text,
    }
    if said.confidence is not None:
        told["confidence"] = round(said.confidence, 3)
    return json_answer(told)


def _sent(sound: Sound, *, rate_hz: int, wav: bool, compute: Callable[..., Any]) -> Iterator[bytes]:
    if wav:
        yield wav_header(rate_hz, None)
    resampler = Resampler(sound.rate_hz, rate_hz)
    try:
        for piece in sound.pieces:
            yield compute(resampler.feed, piece)
    except NodeError as error:
        _log.warning("speech_given_up", code=error.code, reason=str(error))
        raise  # the answer breaks off: what came is not the whole
    finally:
        finish(sound.pieces)
    yield resampler.finish()
