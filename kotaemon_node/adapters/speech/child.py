"""What runs in a process of speech: ``hear`` or ``speak``, until the pod hangs up.

A process of its own, because native libraries compute long, are not thread safe, and may crash:
none of that is to reach a pod. It gets no environment, opens no connection and keeps nothing.
"""

import os
import resource
import socket
import sys
from collections.abc import Callable
from typing import Final

from kotaemon_node.adapters.speech.wire import Reader, WireBroken, packed

_LINE: Final = 3


def main() -> None:
    """Load an engine, say so, and serve. Arguments: the part, its memory, the engine's own."""
    part, memory_bytes, *arguments = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    line = socket.socket(fileno=_LINE)
    try:
        try:
            serve = _served(part, arguments)
        except Exception as error:  # noqa: BLE001 - whatever a library raises, the pod is told
            line.sendall(packed({"failed": f"{type(error).__name__}: {error}"[:400]}))
            return
        line.sendall(packed({"ready": True}))
        serve(line, Reader(line))
    except (WireBroken, OSError):
        return  # the pod has hung up, or is gone


def _served(part: str, arguments: list[str]) -> Callable[[socket.socket, Reader], None]:
    # Each process loads the library of its part alone.
    if part == "hear":
        from kotaemon_node.adapters.speech.child_hearing import Recogniser  # noqa: PLC0415

        os.nice(5)  # it computes for seconds; the pod beside it answers in milliseconds
        return Recogniser(phrases=arguments[0] if arguments else "").serve
    from kotaemon_node.adapters.speech.child_speaking import Speaker  # noqa: PLC0415

    return Speaker().serve
