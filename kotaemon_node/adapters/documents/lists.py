"""The marks that make list items readable as plain text: bullets, numbers, depth."""

from collections.abc import Sequence
from typing import Final

_BULLET: Final = "•"
_INDENT: Final = "  "
_INDENTED_LEVELS_MAX: Final = 8  # deeper lists are not indented further: blanks would outgrow text


class ListMarks:
    """Follows lists as they open and close and marks the first line of each item.

    A mark also keeps items apart for ``domain.sentences``, which would join two long lines.
    """

    def __init__(self) -> None:
        self._numbers: list[int | None] = []
        self._fresh = False

    @property
    def inside(self) -> bool:
        """True between the first list's opening and its close."""
        return bool(self._numbers)

    def open_list(self, start: int | None) -> None:
        """Enter a list that is numbered from ``start``, or bulleted when it is None."""
        self._numbers.append(start)

    def close_list(self) -> None:
        """Leave the innermost list."""
        if self._numbers:
            self._numbers.pop()

    def open_item(self) -> None:
        """Begin an item: the next line gets its mark."""
        self._fresh = True

    def marked(self, lines: Sequence[str]) -> list[str]:
        """Return ``lines`` of the current item, with its mark when they are its first."""
        indent = _INDENT * min(len(self._numbers) - 1, _INDENTED_LEVELS_MAX)
        result: list[str] = []
        for line in lines:
            result.append(f"{indent}{self._mark()}{line}" if self._fresh else f"{indent}{line}")
            self._fresh = False
        return result

    def _mark(self) -> str:
        number = self._numbers[-1] if self._numbers else None
        if number is None:
            return f"{_BULLET} "
        self._numbers[-1] = number + 1
        return f"{number}. "
