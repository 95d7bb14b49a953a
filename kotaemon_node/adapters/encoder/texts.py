"""What a text must be before a tokenizer takes it."""

from typing import Final

# The longest word a tokenizer of ours keeps whole is 100 characters, the usual one 6. 32 a token
# leaves room for runs of blanks, and keeps a megabyte of text from being tokenised to be cut.
_CHARS_PER_TOKEN_MAX: Final = 32


def tokenizable(text: str, *, tokens_max: int) -> str:
    """Return the part of ``text`` that ``tokens_max`` tokens can reach, as valid Unicode.

    A lone surrogate (half of a broken pair) becomes ``?``: tokenizers refuse it.
    """
    return text[: tokens_max * _CHARS_PER_TOKEN_MAX].encode("utf-8", "replace").decode("utf-8")
