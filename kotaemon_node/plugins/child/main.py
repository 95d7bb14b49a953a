"""The program of a plugin's process: takes its limits, loads the plugin, answers calls.

The pod's line is descriptor 3. The first order says who it is to be and which limits it has; no
line of the plugin's code runs before they stand.
"""

import os
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from kotaemon_node.plugins.child import sockets
from kotaemon_node.plugins.child.calling import Caller
from kotaemon_node.plugins.child.frames import Channel, packed
from kotaemon_node.plugins.child.landlock import readable, restrict_files
from kotaemon_node.plugins.child.loading import NoPlugin, load
from kotaemon_node.plugins.child.output import BoundedOutput
from kotaemon_node.plugins.child.resources import (
    Unconfinable,
    allow_computing,
    bound_resources,
    drop_privileges,
    end_with,
)
from kotaemon_node.plugins.child.seccomp import filter_calls
from kotaemon_node.plugins.child.storage import AskedStorage
from kotaemon_node.plugins.contract import BasePlugin

_LINE: Final = 3
_REASON_CHARS_MAX: Final = 600


def main() -> None:
    """Run the program."""
    channel = Channel(socket.socket(fileno=_LINE))
    order = channel.receive()
    if order is None:
        os._exit(0)
    try:
        confine(order)
    except (Unconfinable, OSError, ValueError) as error:
        channel.send(packed({"failed": f"it cannot be confined here: {error}"}))
        os._exit(1)
    output = BoundedOutput(1, bytes_max=order["output_bytes"])
    sys.stdout = sys.stderr = output
    sockets.install(channel)
    serve(channel, order, output)


def confine(order: dict[str, Any]) -> None:
    """Build the walls. Raises ``Unconfinable`` and ``OSError`` where one cannot be built."""
    end_with(order["parent"])
    bound_resources(order["limits"])
    drop_privileges()
    restrict_files(readable(Path(order["folder"]), order["readable"]))
    filter_calls(os.getpid())


def serve(channel: Channel, order: dict[str, Any], output: BoundedOutput) -> None:
    """Load the plugin and answer calls until the pod wants no more; does not return."""
    computing_s = order["limits"]["cpu_s"]
    allow_computing(computing_s)
    channel.allow_asking()
    try:
        plugin, described = load(
            Path(order["folder"]), order["name"], order["config"], AskedStorage(channel)
        )
        ready = packed({"ready": described})
    except BaseException as error:  # noqa: BLE001 - the plugin's own code runs in there
        channel.send(packed({"failed": _reason(error), "log": traceback.format_exc()[-4_000:]}))
        os._exit(1)
    channel.send(ready)
    caller = Caller(plugin)
    while (message := channel.receive()) is not None:
        if "end" in message:
            break
        output.begin()
        allow_computing(computing_s)
        channel.allow_asking()
        channel.send(caller.answer(message))
    _end(plugin)


def _end(plugin: BasePlugin) -> None:
    with suppress(BaseException):  # the plugin's own code, whose process ends in any case
        plugin.teardown()
    os._exit(0)


def _reason(error: BaseException) -> str:
    if isinstance(error, NoPlugin):
        return str(error)[:_REASON_CHARS_MAX]
    told = traceback.format_exception_only(error)[-1].strip()
    return f"its code fails: {told}"[:_REASON_CHARS_MAX]
