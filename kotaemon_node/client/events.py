"""Server-sent events from the bytes of a stream, however these are cut."""

import codecs
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kotaemon_node.client.errors import BadAnswer

LINE_CHARS_MAX: Final = 4 * 1024 * 1024
"""The longest frame holds a whole answer and its sources, about 1 MB."""


class Events:
    """Collects the bytes of one stream; comments are heartbeats and say nothing else."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, chunk: bytes) -> Iterator[Mapping[str, Any]]:
        """Yield the frames that are whole with ``chunk``; raises ``BadAnswer``."""
        text = self._rest + self._decoder.decode(chunk)
        *lines, self._rest = text.split("\n")
        if len(self._rest) > LINE_CHARS_MAX:
            raise BadAnswer("a line of the stream has no end", code="bad_answer")
        for line in lines:
            if line.startswith("data:"):
                yield _object(line[5:])


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # nested beyond what can be read is no JSON of ours
        raise BadAnswer("the stream holds what is no JSON", code="bad_answer") from None
    if not isinstance(value, dict):
        raise BadAnswer("the stream holds what is no frame", code="bad_answer")
    return value
