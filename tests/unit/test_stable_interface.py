"""What others build on does not break: routes, frames, errors, gRPC, SDK, plugins, library."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from scripts import stable
from scripts.stable_rules import broken

Change = Callable[[dict[str, Any]], object]
CHAT, ASK, PLUGIN, SEND = (
    *("POST /chat", "GET /ask", "BasePlugin.setup"),
    "Client.send_message",
)


@pytest.fixture(scope="module")
def now() -> dict[str, Any]:
    return stable.now()


def test_nothing_that_was_kept_is_broken(now: dict[str, Any]) -> None:
    assert list(broken(stable.kept(), now)) == []


def test_what_is_new_is_kept_too(now: dict[str, Any]) -> None:
    same = stable.kept() == now
    assert same, "something is new: `python -m scripts.stable` keeps it"


def required_field(it: dict[str, Any]) -> None:
    """Ask for one more field in a body."""
    form = it["schemas"]["ChatBody"]
    form.setdefault("required", []).append("mood")
    form["properties"]["mood"] = {"type": "string"}


BREAKING: dict[str, tuple[Change, str]] = {
    "a route goes": (lambda it: it["routes"].pop(CHAT), f"{CHAT} is gone"),
    "a parameter goes": (
        lambda it: it["routes"][ASK]["parameters"].pop("query q"),
        f"{ASK}: parameter query q is gone",
    ),
    "a parameter becomes required": (
        lambda it: it["routes"][ASK]["parameters"].update(
            {"query mood": {"required": True, "schema": {}}}
        ),
        "parameter query mood is required now",
    ),
    "a field of a body becomes required": (required_field, "field mood is required now"),
    "a body takes less": (
        lambda it: it["schemas"]["ChatBody"]["properties"]["message"].update(maxLength=5),
        "maxLength",
    ),
    "a field of an answer goes": (
        lambda it: it["schemas"]["ChatAnswer"]["properties"].pop("response"),
        "field response is gone",
    ),
    "a field of an answer may be missing": (
        lambda it: it["schemas"]["ChatAnswer"]["required"].remove("response"),
        "field response may be missing now",
    ),
    "a field of an answer has another type": (
        lambda it: it["schemas"]["ChatAnswer"]["properties"].update(response={"type": "integer"}),
        "string became integer",
    ),
    "a field of an answer may be null": (
        lambda it: it["schemas"]["ChatAnswer"]["properties"].update(
            response={"anyOf": [{"type": "string"}, {"type": "null"}]}
        ),
        "is new",
    ),
    "an answer goes": (
        lambda it: it["routes"][CHAT]["answers"].pop("200"),
        f"{CHAT}: no 200 any more",
    ),
    "a field of a frame goes": (
        lambda it: it["schemas"]["TextFrame"]["properties"].pop("offset"),
        "TextFrame is gone",
    ),
    "a type of frames goes": (
        lambda it: it["schemas"]["Frame"]["oneOf"].pop(0),
        "Frame is gone",
    ),
    "a state goes": (
        lambda it: it["schemas"]["DoneFrame"]["properties"]["state"]["enum"].remove("cancelled"),
        "DoneFrame is gone",
    ),
    "an error has another status": (
        lambda it: it["errors"].update(not_found=410),
        "error not_found: 404 became 410",
    ),
    "a number of gRPC means something else": (
        lambda it: it["grpc"]["fields"].update({"kotaemon.v1.Done.1": ["status", 9, False]}),
        "gRPC kotaemon.v1.Done.1",
    ),
    "a class of the SDK goes": (
        lambda it: it["python"]["kotaemon_node.client"].pop("Session"),
        "kotaemon_node.client.Session is gone",
    ),
    "a method of the SDK wants more": (
        lambda it: it["python"]["kotaemon_node.client"][SEND].append(
            ["mood", "KEYWORD_ONLY", False]
        ),
        f"{SEND}: parameter mood is new and required",
    ),
    "a plugin is called otherwise": (
        lambda it: it["python"]["kotaemon_node.plugins"][PLUGIN].reverse(),
        f"{PLUGIN}: its parameters have another order",
    ),
    "the library loses a parameter": (
        lambda it: it["python"]["kotaemon_node.tools"]["ToolRegistry.register"].pop(0),
        "ToolRegistry.register: parameter name is gone",
    ),
}


@pytest.mark.parametrize("case", BREAKING)
def test_what_breaks_programs_of_others_is_found(now: dict[str, Any], case: str) -> None:
    change, told = BREAKING[case]
    changed = copy.deepcopy(now)
    change(changed)

    found = list(broken(now, changed))

    assert any(told in one for one in found), found


def new_frame(it: dict[str, Any]) -> None:
    it["schemas"]["MoodFrame"] = {"type": "object", "properties": {"type": {"const": "mood"}}}
    it["schemas"]["Frame"]["oneOf"].append({"$ref": "#/components/schemas/MoodFrame"})


HARMLESS: dict[str, Change] = {
    "a new route": lambda it: it["routes"].update({"GET /v1/mood": it["routes"][ASK]}),
    "a new field of an answer": lambda it: it["schemas"]["ChatAnswer"]["properties"].update(
        mood={"type": "string"}
    ),
    "a new field that may be sent": lambda it: it["schemas"]["ChatBody"]["properties"].update(
        mood={"type": "string"}
    ),
    "a new type of frames": new_frame,
    "a new parameter that may be left out": lambda it: it["python"]["kotaemon_node.client"][
        SEND
    ].append(["mood", "KEYWORD_ONLY", True]),
    "more is taken": lambda it: it["schemas"]["ChatBody"]["properties"]["message"].pop("maxLength"),
    "a new error": lambda it: it["errors"].update(moody=503),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_only_adds_breaks_nobody(now: dict[str, Any], case: str) -> None:
    changed = copy.deepcopy(now)
    HARMLESS[case](changed)

    assert changed != now
    assert list(broken(now, changed)) == []
