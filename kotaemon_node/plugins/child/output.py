"""What a plugin prints: into the pod's log, and no more than a bounded part of each call."""

import io
import os


class BoundedOutput(io.TextIOBase):
    """A text file that keeps the beginning of what is written in a call and drops the rest."""

    def __init__(self, descriptor: int, *, bytes_max: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._bytes_max = bytes_max
        self._left = bytes_max

    def begin(self) -> None:
        """A call begins: it may write anew."""
        self._left = self._bytes_max

    def writable(self) -> bool:
        """It is."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As of standard output."""
        return "utf-8"

    def fileno(self) -> int:
        """Return the descriptor behind it."""
        return self._descriptor

    def write(self, text: str) -> int:
        """Write a piece, or drop it."""
        if self._left > 0:
            # Only so much is encoded at all: the text may have a gigabyte.
            piece = text[: self._left].encode("utf-8", "replace")[: self._left]
            self._left -= len(piece)
            os.write(self._descriptor, piece)
        return len(text)
