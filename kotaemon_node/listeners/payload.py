"""Reading the payload of an event, where this program knows what it means."""

import json
from typing import Any

from kotaemon_node.domain.events import EVENT_SCHEMA
from kotaemon_node.ports.events import Message


def fields_of(message: Message) -> dict[str, Any]:
    """Return the JSON object of ``message``.

    Raises ``ValueError`` when it is none, or of a schema that only newer programs know. Older ones
    sent no number with the first.
    """
    fields = json.loads(message.value)
    if not isinstance(fields, dict):
        raise ValueError("the event is not a JSON object")  # noqa: TRY004 - bad data, no bug
    if fields.get("schema", EVENT_SCHEMA) != EVENT_SCHEMA:
        raise ValueError(
            f"the event is of schema {fields['schema']!r:.20}; this program knows {EVENT_SCHEMA}"
        )
    return fields
