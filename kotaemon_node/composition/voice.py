"""Composes what hears and speaks: nothing, the offline pair, or OpenAI-compatible servers."""

from kotaemon_node.adapters.speech.errors import SpeechSetupError
from kotaemon_node.adapters.speech.offline import OfflineHearing, OfflineSpeaking
from kotaemon_node.adapters.speech.server import ServerHearing, ServerSpeaking, SpeechPlace
from kotaemon_node.adapters.system.gevent_tasks import GeventTasks
from kotaemon_node.api.voice.offer import VoiceOffer
from kotaemon_node.engine.breaking import MemoryBreaker
from kotaemon_node.engine.speech_guard import GuardedHearing, GuardedSpeaking
from kotaemon_node.ports.runtime import Clock, IdSource
from kotaemon_node.ports.speech import Speech, SpeechToText, TextToSpeech
from kotaemon_node.settings import Settings


def voice_of(settings: Settings, *, clock: Clock, ids: IdSource) -> VoiceOffer:
    """Return what ``SPEECH_TO_TEXT`` and ``TEXT_TO_SPEECH`` name. Raises ``SpeechSetupError``."""
    # One server may well do the one and fail at the other: each has a breaker, of this pod alone.
    return VoiceOffer(
        Speech(
            hears=_hearing(settings, MemoryBreaker(clock=clock), ids),
            speaks=_speaking(settings, MemoryBreaker(clock=clock), ids),
        ),
        # Its own: searches must not wait for sound, and one file at a time is in memory twice.
        compute=GeventTasks(native_threads=1).compute,
    )


def _hearing(settings: Settings, breaker: MemoryBreaker, ids: IdSource) -> SpeechToText | None:
    match settings.speech_to_text:
        case "none":
            return None
        case "offline":
            return OfflineHearing(phrases=settings.speech_phrases_file)
        case "openai":
            place = _place(settings, settings.speech_to_text_model)
            return GuardedHearing(ServerHearing(place), breaker, ids=ids)


def _speaking(settings: Settings, breaker: MemoryBreaker, ids: IdSource) -> TextToSpeech | None:
    match settings.text_to_speech:
        case "none":
            return None
        case "offline":
            return OfflineSpeaking()
        case "openai":
            engine = ServerSpeaking(
                _place(settings, settings.text_to_speech_model),
                voice=settings.text_to_speech_voice,
            )
            return GuardedSpeaking(engine, breaker, ids=ids)


def _place(settings: Settings, model: str) -> SpeechPlace:
    if not settings.speech_base_url:
        raise SpeechSetupError(
            "SPEECH_TO_TEXT or TEXT_TO_SPEECH is openai, and SPEECH_BASE_URL is empty"
        )
    return SpeechPlace(settings.speech_base_url, settings.speech_api_key, model)
