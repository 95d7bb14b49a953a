"""The tools file: what it may say, and that whatever is wrong is told with its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.tools.described import read_tools
from kotaemon_node.adapters.tools.http import make_toolbox
from kotaemon_node.domain import limits
from kotaemon_node.domain.arguments import problem_of

TOOL: dict[str, Any] = {
    "name": "order_status",
    "description": "Tells where an order is.",
    "url": "https://shop.example/order-status",
    "effects": "read",
}
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "tools.md"


def written(folder: Path, content: object) -> Path:
    path = folder / "tools.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def test_the_example_of_the_reference_is_read(tmp_path: Path) -> None:
    example = REFERENCE.read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]
    (tool,) = read_tools(
        written(tmp_path, example), environment={"ORDERS_AUTHORIZATION": "Bearer x\n"}.get
    )
    assert tool.headers == {"Authorization": "Bearer x"}
    assert (tool.method, tool.timeout_s, tool.spec.effects) == ("POST", 10, "read")
    assert tool.spec.parameters["required"] == ["order"]


def test_json_with_the_least_that_is_needed(tmp_path: Path) -> None:
    (tool,) = read_tools(written(tmp_path, {"tools": [TOOL]}), environment={}.get)
    assert tool.timeout_s == limits.TOOL_TIMEOUT_S_DEFAULT
    assert tool.spec.parameters == {"type": "object", "properties": {}, "required": []}


@pytest.mark.parametrize(
    ("effects", "confirm"), [("read", False), ("idempotent", True), ("once", True)]
)
def test_what_changes_something_waits_for_a_yes_unless_it_says_so(
    tmp_path: Path, effects: str, confirm: bool
) -> None:
    said = {**TOOL, "effects": effects}
    (usual,) = read_tools(written(tmp_path, {"tools": [said]}), environment={}.get)
    assert usual.spec.confirm is confirm
    (waived,) = read_tools(
        written(tmp_path, {"tools": [{**said, "confirm": False}]}), environment={}.get
    )
    assert not waived.spec.confirm


@pytest.mark.parametrize("content", [None, {"tools": []}])
def test_no_tools(tmp_path: Path, content: object) -> None:
    path = written(tmp_path, content) if content else None
    assert make_toolbox(path, environment={}.get) is None


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"effects": "sometimes"}, "tools.0.effects"),
        ({"effects": None}, "tools.0.effects"),
        ({"name": "order status"}, "tools.0.name"),
        ({"timeout_s": 31}, "which only a slow tool may have"),
        ({"timeout_s": 241, "slow": True}, "tools.0.timeout_s"),
        ({"lookup_url": "shop/outcome"}, "the lookup_url of order_status"),
        ({"horizon_s": 86_401}, "tools.0.horizon_s"),
        ({"effects": "once", "retries": 1}, "acts anew each time, so it has no retries"),
        ({"timeout_s": 0}, "tools.0.timeout_s"),
        ({"method": "DELETE"}, "tools.0.method"),
        ({"url": "file:///etc/passwd"}, "the url of order_status"),
        ({"patience": 3}, "tools.0.patience"),
        ({"parameters": {"type": "array"}}, "tools.0.parameters.type"),
        ({"headers": {"X-Key": "NOT_SET"}}, "needs the environment variable NOT_SET"),
        ({"headers": {"X-Key": "TWO_LINES"}}, "TWO_LINES holds a character"),
        ({"headers": {"X-Evil: 1": "SET"}}, "tools.0.headers"),
        ({"headers": {"Idempotency-Key": "SET"}}, "ours to set"),
    ],
)
def test_a_wrong_tool_is_refused(tmp_path: Path, wrong: dict[str, Any], told: str) -> None:
    environment = {"SET": "x", "TWO_LINES": "secret\r\nX-Evil: two"}
    with pytest.raises(ValueError, match=told) as raised:
        read_tools(written(tmp_path, {"tools": [{**TOOL, **wrong}]}), environment=environment.get)
    assert "TOOLS_FILE" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"tools": [TOOL, TOOL]}, "order_status is given to more than one"),
        ("tools: [", "neither YAML nor JSON"),
        ("!!python/object/apply:os.system [true]", "neither YAML nor JSON"),
        ("x" * (limits.TOOLS_FILE_BYTES_MAX + 1), "larger than"),
        ([], "TOOLS_FILE"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, content: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_tools(written(tmp_path, content), environment={}.get)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="TOOLS_FILE cannot be read"):
        read_tools(tmp_path / "none.yaml", environment={}.get)


SCHEMA = {
    "type": "object",
    "properties": {
        "order": {"type": "string"},
        "count": {"type": "integer"},
        "price": {"type": "number"},
        "sure": {"type": "boolean"},
        "note": {"type": ["string", "null"]},
        "speed": {"enum": ["slow", "fast"]},
        "tags": {"type": "array"},
        "any": {},
    },
    "required": ["order"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"count": 3},
        {"count": 3.0, "price": 2, "sure": False},
        {"note": None, "speed": "fast", "tags": [], "any": {"x": 1}},
    ],
)
def test_arguments_that_fit(arguments: dict[str, Any]) -> None:
    assert problem_of({"order": "A1", **arguments}, SCHEMA) is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"order": 1}, "order must be of type string"),
        ({"count": 3.5}, "count must be of type integer"),
        ({"count": True}, "count must be of type integer"),
        ({"price": "2"}, "price must be of type number"),
        ({"sure": 1}, "sure must be of type boolean"),
        ({"note": 1}, "note must be of type string or null"),
        ({"speed": "warp"}, "speed must be one of slow, fast"),
        ({"colour": "red"}, "there is no argument colour"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], told: str) -> None:
    assert told in (problem_of({"order": "A1", **arguments}, SCHEMA) or "")


def test_a_missing_argument() -> None:
    assert problem_of({"sure": True}, SCHEMA) == "the argument order is missing"
