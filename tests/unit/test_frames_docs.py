"""docs/reference/frames.md has the frames that pods send, field by field."""

import re
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.api.frame_forms import frame_schemas
from kotaemon_node.domain.frames import UNSTORED
from kotaemon_node.domain.handoff import BY

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "frames.md").read_text("utf-8")
SCHEMAS = {
    schema["properties"]["type"]["const"]: schema
    for name, schema in frame_schemas().items()
    if name != "Frame"
}
_OF_ALL = ("type", "seq", "turn_id", "trace_id")


def section(kind: str) -> str:
    return next(part for part in PAGE.split("\n## ") if part.startswith(f"{kind}\n"))


def rows(text: str) -> list[tuple[str, bool]]:
    """Return the fields that a table names, and whether they may be missing."""
    found = re.findall(r"^\| `(\w+)`( \(may be missing\))? \|", text, re.M)
    return [(name, bool(missing)) for name, missing in found]


def test_every_type_has_its_section() -> None:
    assert re.findall(r"^## (\w+)$", PAGE, re.M) == list(SCHEMAS)


def test_what_all_frames_have() -> None:
    assert [name for name, _ in rows(PAGE.split("\n## ")[0])] == list(_OF_ALL)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_field_is_there_in_order(kind: str) -> None:
    schema: dict[str, Any] = SCHEMAS[kind]
    own = [name for name in schema["properties"] if name not in _OF_ALL]

    assert rows(section(kind)) == [(name, name not in schema["required"]) for name in own]


@pytest.mark.parametrize("kind", SCHEMAS)
def test_what_is_not_stored_says_so(kind: str) -> None:
    assert ("Not stored" in section(kind)) == (kind in UNSTORED)


@pytest.mark.parametrize(("kind", "field"), [("tool_call", "state"), ("done", "state")])
def test_states_are_all_named(kind: str, field: str) -> None:
    row = next(line for line in section(kind).splitlines() if line.startswith(f"| `{field}`"))
    named = re.findall(r"`(\w+)`", row.partition("|")[2].partition("|")[2])

    assert sorted(named) == sorted(SCHEMAS[kind]["properties"][field]["enum"])


def test_who_wants_a_handoff() -> None:
    row = next(line for line in section("handoff").splitlines() if line.startswith("| `by`"))
    assert re.findall(r"`(\w+)`", row)[1:] == list(BY)


def test_fields_of_a_cited_document() -> None:
    row = next(line for line in section("source").splitlines() if line.startswith("| `docs`"))
    named = re.findall(r"`(\w+)`", row.partition(":")[2])
    assert named == list(SCHEMAS["source"]["properties"]["docs"]["items"]["properties"])
