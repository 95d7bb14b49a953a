"""No log, error or reason tells a secret of a plugin, whatever the plugin's libraries raise."""

import json
from pathlib import Path
from typing import Any

import pytest
import structlog

from kotaemon_node.adapters.sandbox.hiding import Hiding
from kotaemon_node.ports.plugin_registry import PluginRefused
from kotaemon_node.ports.tools import ToolFailed
from tests.sandboxed import WILD, started

SECRET = 'k3y-of the/shop"s'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"key {SECRET}, again {SECRET}.", "key ***, again ***."),
        (repr({"key": SECRET}), "{'key': '***'}"),
        (json.dumps({"key": SECRET}), '{"key": "***"}'),
        ("GET /?key=k3y-of+the%2Fshop%22s&a=1", "GET /?key=***&a=1"),
        ("GET /k3y-of%20the%2Fshop%22s", "GET /***"),
        (f"cut in the mid{SECRET[:9]}", "cut in the mid***"),
        (f"{SECRET[9:]} and begun there", "*** and begun there"),
        ("line 2 of the chain", "*** of the chain"),
        ("the shops", "the shops"),
        ("", ""),
    ],
)
def test_a_secret_is_hidden_in_all_its_forms(text: str, told: str) -> None:
    assert Hiding([SECRET, "line 1\nline 2", "abc"])(text) == told


def test_a_start_that_fails_tells_no_secret(tmp_path: Path) -> None:
    source = """
        from kotaemon_node.plugins import BasePlugin
        class Wild(BasePlugin):
            name = "wild"
            def setup(self, config, shared_storage):
                print("logs in with", config["key"])
                raise ValueError("x" * 540 + f" cannot log in with {config['key']}")
            def run(self): return 1
    """
    manifest = "config: {key: " + json.dumps(SECRET * 5) + "}"
    with (
        structlog.testing.capture_logs() as logs,
        pytest.raises(PluginRefused) as refused,
        started(tmp_path, source, manifest, secrets=(SECRET * 5,)),
    ):
        pass
    assert "cannot log in with ***" in str(refused.value)
    assert_hidden(str(refused.value), logs, "plugin_start_failed", "plugin_output")


def test_a_call_that_fails_tells_no_secret(tmp_path: Path) -> None:
    code = f"print({SECRET!r}); raise type({SECRET!r}, (Exception,), {{}})({SECRET!r})"
    with (
        started(tmp_path, WILD, secrets=(SECRET,)) as wild,
        structlog.testing.capture_logs() as logs,
        pytest.raises(ToolFailed) as failed,
    ):
        wild.does(code)
    assert_hidden(str(failed.value), logs, "plugin_raised", "plugin_output")


def assert_hidden(error: str, logs: Any, *events: str) -> None:
    assert set(events) <= {it["event"] for it in logs}
    for text in (error, *(str(value) for line in logs for value in line.values())):
        assert "k3y" not in text
        assert "shop" not in text
