"""``python -m coordinator.reading.child``: reads documents one after the other, under limits.

Tasks come on the standard input, answers go to what was the standard output; both are ``frames``.
It knows no store, no secret and no setting. Whoever gives it a task believes no answer unchecked.
"""

import gc
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, Final

import orjson

from coordinator.ingest import Ingested, read_document
from coordinator.reading.answers import packed
from coordinator.reading.confine import allow_computing, confine
from coordinator.reading.frames import frame, read_frame

Read = Callable[[str, bytes], Ingested]

_TRACEBACK_CHARS_MAX: Final = 4_000


def serve(tasks: BinaryIO, answers: BinaryIO, read: Read) -> None:
    """Read what is asked for, until the parent closes its end."""
    _send(answers, frame({"ready": True}))
    while (task := read_frame(tasks.read)) is not None:
        head, content = task
        allow_computing(head["computing_s"])
        answer = _answer(read, head["document"], content)
        del task, content
        _send(answers, answer)
        del answer
        gc.collect()


def _answer(read: Read, document: str, content: bytes) -> bytes:
    try:
        return frame(*_said(read(document, content)))
    except MemoryError:
        pass  # said below: what holds the memory is let go of with the exception
    except Exception:  # noqa: BLE001 - a parser's bug is an answer, and the parent logs it
        return frame({"broke": traceback.format_exc()[-_TRACEBACK_CHARS_MAX:]})
    return frame({"cause": "memory"})


def _said(it: Ingested) -> tuple[dict[str, Any], bytes]:
    head, body = packed(it)
    return {"read": head}, body


def _send(answers: BinaryIO, answer: bytes) -> None:
    answers.write(answer)
    answers.flush()


def main(read: Read = read_document) -> None:
    """Run the program. The one argument says the limits, as JSON."""
    bounds = orjson.loads(sys.argv[1])
    confine(memory_bytes=bounds["memory_bytes"], parent=bounds["parent"])
    answers = os.fdopen(os.dup(1), "wb")
    # What a library prints must not pass for an answer, nor fill the log.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.close(silence)
    with suppress(BrokenPipeError):  # the parent has gone
        serve(os.fdopen(0, "rb"), answers, read)
    # Native libraries may fail at their own end, which would look like a crash.
    os._exit(0)


if __name__ == "__main__":
    main()
