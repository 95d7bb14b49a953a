"""Reading the payload of an event."""

import json
from typing import Any

from kotaemon_node.ports.events import Message


def fields_of(message: Message) -> dict[str, Any]:
    """Return the JSON object of ``message``; raises ``ValueError`` when it is none."""
    fields = json.loads(message.value)
    if not isinstance(fields, dict):
        raise ValueError("the event is not a JSON object")  # noqa: TRY004 - bad data, no bug
    return fields
