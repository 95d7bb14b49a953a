"""Identifiers from the operating system's randomness."""

import secrets
import string

_LETTERS = string.ascii_letters + string.digits
_CHARS = 22
_EVEN = 256 - 256 % len(_LETTERS)
_SPARE = 6  # of 28 bytes more than six are left out once in 10^7 times; then more are drawn


class RandomIds:
    """``ports.runtime.IdSource`` with 131 random bits an id, as 22 letters and digits.

    Short, because a session's id is written with each flush of its frames.
    """

    def new_id(self) -> str:
        """See the port."""
        return random_letters(_CHARS)


def random_letters(count: int) -> str:
    """Return so many random letters and digits, of 5.95 bits each."""
    letters = ""
    while len(letters) < count:
        # One call of the system for all; bytes that would make the first letters likelier are left.
        drawn = secrets.token_bytes(count + _SPARE)
        letters += "".join(_LETTERS[byte % len(_LETTERS)] for byte in drawn if byte < _EVEN)
    return letters[:count]
