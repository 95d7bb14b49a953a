"""Secrets of a plugin, kept out of what its process says that people read: reasons, logs, errors.

A plugin that wants to tell its secrets can: it may spell them backwards. This is for the others,
whose libraries put a key into the message of an error.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

_SHORTEST: Final = 4
"""Of what is hidden: a shorter text stands in many a word, and lets nobody in."""
_STARS: Final = "***"
_EDGES_MAX: Final = 64


class Hiding:
    """Replaces secrets in texts; the work is bounded by the sizes of both."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {it for secret in secrets for it in _forms(secret) if len(it) >= _SHORTEST}
        self._forms = sorted(forms, key=len, reverse=True)  # one may be part of another

    def __call__(self, text: str) -> str:
        """Return the text without them, also without what a cut has left at its ends."""
        for form in self._forms:
            text = text.replace(form, _STARS)
        for form in self._forms:
            text = _without_edges(text, form)
        return text


def _forms(secret: str) -> Iterator[str]:
    """Yield how a secret may stand in a text: as it is, in quotes, in JSON, in a URL, by lines."""
    for text in (secret, *secret.splitlines()):
        yield text.strip()
        yield repr(text)[1:-1]
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        try:
            yield quote(text, safe="")
            yield quote_plus(text)
        except UnicodeEncodeError:
            continue  # half a character stands in no URL


def _without_edges(text: str, form: str) -> str:
    """Hide the beginning of a secret where the text ends in it, and the end where it begins so."""
    at, tail, head = -1, text[-_SHORTEST:], text[:_SHORTEST]
    if len(text) < _SHORTEST:
        return text
    for _ in range(_EDGES_MAX):
        if (at := form.find(tail, at + 1)) < 0:
            break
        if text.endswith(form[: at + _SHORTEST]):
            return _without_head(text[: len(text) - at - _SHORTEST] + _STARS, form, head)
    return _without_head(text, form, head)


def _without_head(text: str, form: str, head: str) -> str:
    at = -1
    for _ in range(_EDGES_MAX):
        if (at := form.find(head, at + 1)) < 0:
            break
        if text.startswith(form[at:]):
            return _STARS + text[len(form) - at :]
    return text
