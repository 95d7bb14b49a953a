"""What a text must be before a tokenizer takes it, and a name before it is a space's."""

from typing import Final

# The longest word a tokenizer of ours keeps whole is 100 characters, the usual one 6. 32 a token
# leaves room for runs of blanks, and keeps a megabyte of text from being tokenised to be cut.
_CHARS_PER_TOKEN_MAX: Final = 32
_SPACE_CHARS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.-")


def tokenizable(text: str, *, tokens_max: int) -> str:
    """Return the part of ``text`` that ``tokens_max`` tokens can reach, as valid Unicode.

    A lone surrogate (half of a broken pair) becomes ``?``: tokenizers refuse it.
    """
    return text[: tokens_max * _CHARS_PER_TOKEN_MAX].encode("utf-8", "replace").decode("utf-8")


def space_name(name: str) -> str:
    """Return ``name`` (a repository or a folder) with what a space name may not have replaced."""
    last = name.rstrip("/").rsplit("/", 1)[-1]
    return "".join(letter if letter.lower() in _SPACE_CHARS else "-" for letter in last)[-128:]
