"""Identifiers from the operating system's randomness."""

import secrets
import string

_LETTERS = string.ascii_letters + string.digits
_CHARS = 22


class RandomIds:
    """``ports.runtime.IdSource`` with 131 random bits an id, as 22 letters and digits.

    Short, because a session's id is written with each flush of its frames.
    """

    def new_id(self) -> str:
        """See the port."""
        return random_letters(_CHARS)


def random_letters(count: int) -> str:
    """Return so many random letters and digits, of 5.95 bits each."""
    return "".join(secrets.choice(_LETTERS) for _ in range(count))
