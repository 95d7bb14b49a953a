"""Readers of what is said over the wire, as pages show it: ``…`` stands for what is left out."""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from jsonschema import Draft202012Validator

from coordinator import probes as probe_sets
from kotaemon_node.api.websocket.messages import read_said
from kotaemon_node.domain import webhooks
from kotaemon_node.domain.channels import Channel
from kotaemon_node.domain.session import Turn
from kotaemon_node.domain.turn import State
from kotaemon_node.engine import webhooks as told_by_webhook
from kotaemon_node.engine.channels import reply_of
from tests.documented import requests
from tests.documented.blocks import Block

_SIGNED = {webhooks.ID_HEADER, webhooks.TIME_HEADER, webhooks.SIGNATURE_HEADER}


def message(block: Block, folder: Path) -> None:
    """A request of ours that is signed."""
    first, headers, body = _of_http(block)
    method, path = first.split()
    assert headers == _SIGNED
    assert not list(requests.problems(method, path, body=body))


def webhook(block: Block, folder: Path) -> None:
    """A request that we send."""
    first, headers, body = _of_http(block)
    assert first.startswith("POST /")
    assert headers >= _SIGNED
    told = _shown(body)
    assert told["type"] in get_args(webhooks.EventType)
    assert told.keys() == {"type", "timestamp", "data"}
    source = inspect.getsource(told_by_webhook)
    for name in told["data"]:
        assert f'"{name}"' in source, name


def reply(block: Block, folder: Path) -> None:
    """What a platform is sent: of these fields, in that form."""
    turn = Turn("t1", "?", State.DONE, sources=({"n": 1, "document": "a"},), ref="m-1")
    user = {"user": {"id": "u-1001", "name": "Ann"}, "conversation_id": "c-1"}
    made = reply_of(Channel("demo", "default"), "s1", user, turn)
    assert set(_names(_shown(block.text))) <= set(_names(made))


def socket_message(block: Block, folder: Path) -> None:
    """What a client says over a WebSocket."""
    read_said(block.text)


def error_answer(block: Block, folder: Path) -> None:
    """The body of a refusal."""
    _fits(_shown(block.text.replace('"…"', '"0af7651916cd43dd8448eb211c80319c"')), "ErrorAnswer")


def frame(block: Block, folder: Path) -> None:
    """A frame as an event of a stream."""
    name, event, data = (line.partition(": ")[2] for line in block.text.splitlines())
    told = json.loads(data.replace('"…"', '"0af7651916cd43dd8448eb211c80319c"'))
    assert (name, event) == (f"{told['turn_id']}:{told['seq']}", told["type"])
    _fits(told, "Frame")


def probes(block: Block, folder: Path) -> None:
    """Questions that a generation has to pass."""
    assert probe_sets._probes(block.text.encode())


def _fits(told: Any, form: str) -> None:
    components = requests.described()["components"]
    schema = {"$ref": f"#/components/schemas/{form}", "components": components}
    Draft202012Validator(schema).validate(told)


def _of_http(block: Block) -> tuple[str, set[str], str]:
    """Return the first line, the names of the headers and the body."""
    head, _, body = block.text.partition("\n\n")
    first, *headers = head.splitlines()
    return first, {line.partition(":")[0].lower() for line in headers}, body


def _shown(text: str) -> Any:
    """Return JSON as a page shows it, without what it leaves out."""
    return json.loads(re.sub(r",?\s*…(?=\s*[}\]])", "", text))


def _names(told: Any, *, at: str = "$") -> Iterator[str]:
    """Yield the path of each field, of lists their first row's."""
    if isinstance(told, dict):
        for name, value in told.items():
            yield f"{at}.{name}"
            yield from _names(value, at=f"{at}.{name}")
    elif isinstance(told, list) and told:
        yield from _names(told[0], at=f"{at}[]")
