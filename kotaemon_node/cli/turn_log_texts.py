"""Opens the texts in lines of the log of turns."""

import json
from collections.abc import Iterable, Iterator

from kotaemon_node.engine.turn_sinking import with_opened_texts
from kotaemon_node.ports.cipher import FieldCipher


def opened_lines(lines: Iterable[str], cipher: FieldCipher) -> Iterator[str]:
    """Yield each line with its texts in the clear; what is no entry is yielded as it is."""
    for line in lines:
        text = line.rstrip("\n")
        try:
            fields = json.loads(text)
            yield json.dumps(with_opened_texts(fields, cipher), ensure_ascii=False)
        except (ValueError, LookupError, TypeError, AttributeError):
            yield text
