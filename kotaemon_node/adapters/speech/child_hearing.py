"""Recognises English speech with pocketsphinx, one utterance after the other.

By itself it expects any English sentence, and understands few of them well. With a file of phrases,
one a line, it expects sentences made of those: what people ask a shop is a small world.
"""

import math
import re
import socket
import tempfile
from pathlib import Path
from typing import Any, Final

import pocketsphinx
from pocketsphinx.lm import ArpaBoLM

from kotaemon_node.adapters.speech.wire import Reader, packed

_PARTIAL_BYTES: Final = 9_600  # 0.3 s of sound between two looks at what is understood so far
_NO_WORD: Final = re.compile(r"[^a-z' ]+")


class Recogniser:
    """Holds one decoder."""

    def __init__(self, *, phrases: str) -> None:
        """``phrases``: path of a file of sentences; empty: any English."""
        options: dict[str, Any] = {"samprate": 16_000, "loglevel": "FATAL"}
        with tempfile.TemporaryDirectory() as folder:
            if phrases:
                options |= _model_of(Path(phrases), Path(folder))
            self._decoder = pocketsphinx.Decoder(**options)
        self._listening = False
        self._unshown_bytes = 0

    def serve(self, line: socket.socket, reader: Reader) -> None:
        """Answer until the pod hangs up."""
        while True:
            message = reader.next()
            if isinstance(message, bytes):
                self._hear(message, line)
            elif "begin" in message:
                self._stop()
                self._decoder.start_utt()
                self._listening, self._unshown_bytes = True, 0
            elif "end" in message:
                self._stop()
                line.sendall(packed({"final": self._text(), "confidence": self._confidence()}))

    def _hear(self, pcm: bytes, line: socket.socket) -> None:
        if self._listening:
            self._decoder.process_raw(pcm)
            self._unshown_bytes += len(pcm)
        shown = self._unshown_bytes >= _PARTIAL_BYTES
        if shown:
            self._unshown_bytes = 0
        # Each piece is answered: the pod sends no more than a few ahead.
        line.sendall(packed({"partial": self._text() if shown else None, "taken": len(pcm)}))

    def _stop(self) -> None:
        if self._listening:
            self._decoder.end_utt()
            self._listening = False

    def _text(self) -> str:
        found = self._decoder.hyp()
        return "" if found is None else str(found.hypstr)

    def _confidence(self) -> float | None:
        """Return the geometric mean of how sure it is of each word: one bad word counts."""
        sure = [
            min(1.0, max(1e-6, segment.prob))
            for segment in self._decoder.seg() or ()
            if not segment.word.startswith(("<", "["))
        ]
        return math.prod(sure) ** (1 / len(sure)) if sure else None


def _model_of(phrases: Path, folder: Path) -> dict[str, str]:
    """Write language model and dictionary of the phrases; words that nobody can say are left out.

    A dictionary of its own, because the whole one with a small model takes seconds to load.
    """
    sayings = _dictionary()
    sentences, used = [], set()
    for written in phrases.read_text("utf-8").lower().splitlines():
        said = _NO_WORD.sub(" ", written.replace("’", "'")).split()
        if words := [word for word in said if word in sayings]:
            used |= set(words)
            sentences.append(f"<s> {' '.join(words)} </s>\n")
    if not sentences:
        raise ValueError("the file of phrases has no English sentence")
    model = ArpaBoLM(text="".join(sentences))
    model.compute()
    model.write_file(str(folder / "phrases.lm"))
    lines = [line for word in sorted(used) for line in sayings[word]]
    (folder / "phrases.dict").write_text("".join(lines), "utf-8")
    return {"lm": str(folder / "phrases.lm"), "dict": str(folder / "phrases.dict")}


def _dictionary() -> dict[str, list[str]]:
    """Return the lines of each word: `lead` also has that of `lead(2)`."""
    found: dict[str, list[str]] = {}
    with open(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"), encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                found.setdefault(line.split(maxsplit=1)[0].partition("(")[0], []).append(line)
    return found
