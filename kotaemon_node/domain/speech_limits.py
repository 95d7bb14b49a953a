"""Bounds of what is heard and spoken, as ``limits``: the unit in the name, the reason beside it."""

from typing import Final

# Sound that comes in.
HEARING_RATE_HZ: Final = 16_000  # what recognisers are made for
SOUND_RATE_HZ_MIN: Final = 8_000  # a telephone's
SOUND_RATE_HZ_MAX: Final = 48_000  # a browser's microphone
SOUND_CHANNELS_MAX: Final = 2
SOUND_PIECE_BYTES_MAX: Final = 64 * 1024  # one message: two thirds of a second at 48 kHz
SOUND_AHEAD_S: Final = 15.0  # may come at once, or wait to be recognised; 1.4 MB at 48 kHz
SOUND_PIECES_WAITING_MAX: Final = 1_000  # messages, however short; 15 s of 20 ms each are 750
UTTERANCE_S_MAX: Final = 30.0  # a question takes 5
SOUND_FILE_BYTES_MAX: Final = 8 * 1024 * 1024  # less than any body: what is uploaded lies in memory
SOUND_FILE_S_MAX: Final = 120.0  # an offline engine computes about as long as the sound lasts
SOUND_FILE_CHUNKS_MAX: Final = 1_000  # before its sound: programs write a handful
TRANSCRIPT_CHARS_MAX: Final = 4_000  # far beyond what is said in two minutes

# When somebody speaks, and has ended (domain/voice_activity.py).
SPEECH_BEGINS_S: Final = 0.15  # of voice in a row: a click or a cough is shorter
SPEECH_ENDS_S: Final = 0.8  # of silence: people pause for half a second inside a sentence
SPEECH_BEFORE_S: Final = 0.4  # kept from before it was noticed: first consonants are weak

# What is spoken.
SPEECH_TEXT_CHARS_MAX: Final = 4_096  # of one request, as with OpenAI
SPOKEN_SENTENCE_CHARS_MAX: Final = 300  # a longer one is cut: its sound would come late
SPOKEN_PENDING_CHARS_MAX: Final = 600  # without an end of a sentence: two breaths
SPOKEN_SENTENCES_MAX: Final = 400  # of one answer; the rest stays text
SPOKEN_AHEAD_S: Final = 15.0  # of sound that a client has and did not play: what a barge-in wastes
SPOKEN_BYTES_MAX: Final = 64 * 1024 * 1024  # of one request: 4,096 characters are 30 MB at most
SPEED_MIN: Final = 0.25
SPEED_MAX: Final = 4.0

# Engines. A recogniser's process has 100 MB and computes about as long as people speak.
HEARING_PROCESSES_MAX: Final = 2
SPEAKING_PROCESSES_MAX: Final = 1  # a sentence takes 20 ms
SPEECH_WAITING_MAX: Final = 16  # callers that wait for a process; the next one is told to come back
SPEECH_WAIT_S: Final = 10.0  # for one
SPEECH_START_S: Final = 60.0  # until a process is ready: it reads 35 MB on a busy machine
SPEECH_SILENT_S: Final = 30.0  # without a word of a process that computes, then it is killed
SPEECH_MEMORY_BYTES_MAX: Final = 1536 * 1024**2  # address space of a process
SPEECH_PHRASES_BYTES_MAX: Final = 1024 * 1024
SPEECH_SERVER_CONNECT_S: Final = 5.0
SPEECH_SERVER_SILENT_S: Final = 30.0
SPEECH_SERVER_S_MAX: Final = 120.0  # for a whole answer
SPEECH_SERVER_ANSWER_BYTES_MAX: Final = 1024 * 1024  # of a transcript with its details

# Conversations by voice.
VOICES_PER_POD_MAX: Final = 32  # connections; at any moment most of them listen to answers
