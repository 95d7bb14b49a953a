"""A plugin that cannot be started is refused, and leaves nothing behind in its pod."""

import os
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from kotaemon_node.adapters.sandbox.memory_storage import MemoryPluginStorage
from kotaemon_node.adapters.sandbox.start import start_plugin
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain.plugin_manifest import Manifest
from kotaemon_node.ports.plugin_registry import PluginRefused
from tests.own_children import begin_with_none, own_children
from tests.sandboxed import WILD, started

PLAIN = """
    from kotaemon_node.plugins import BasePlugin
    class Wild(BasePlugin):
        name = "wild"
        parameters = {parameters}
        def run(self, **rest): return 1
"""


def start(folder: Path, config: dict[str, Any]) -> None:
    (folder / "wild.py").write_text(dedent(WILD))
    clock = SystemClock()
    start_plugin(
        folder,
        Manifest("wild"),
        config=config,
        tenant="acme",
        storage=MemoryPluginStorage(clock=clock),
        clock=clock,
        tasks=ThreadTasks(),
    )


def test_whatever_goes_wrong_in_a_start_its_process_ends(tmp_path: Path) -> None:
    begin_with_none()
    with pytest.raises(TypeError):
        start(tmp_path, {"a": b"hello"})
    before = len(os.listdir("/proc/self/fd")), len(own_children())
    for _ in range(3):
        with pytest.raises(TypeError):
            start(tmp_path, {"a": b"hello"})
    assert (len(os.listdir("/proc/self/fd")), len(own_children())) == before


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"properties": {"a": {"type": 5}}}, "the type of the property a"),
        ({"properties": {"a": {"type": [["string"]]}}}, "the type of the property a"),
        ({"required": 5}, "required must be a list of names"),
    ],
)
def test_a_schema_by_which_no_call_can_be_checked_is_refused(
    tmp_path: Path, parameters: dict[str, Any], why: str
) -> None:
    source = PLAIN.replace("{parameters}", repr(parameters))
    with pytest.raises(PluginRefused, match=why), started(tmp_path, source):
        pass
