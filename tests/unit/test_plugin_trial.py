"""A plugin on trial without walls is refused what a pod refuses it."""

from pathlib import Path

import pytest

from kotaemon_node.plugins.testing import PluginTest
from kotaemon_node.ports.tools import ToolFailed

SOURCE = """
from kotaemon_node.plugins import BasePlugin


class Kept(BasePlugin):
    name = "kept"

    def run(self, key: str, number: int, session_id=None):
        self.shared_storage.set(key, number)
        whose = f"user_id:{session_id}"
        return [self.shared_storage.get(key), self.shared_storage.get(whose, "nobody")]
"""


@pytest.fixture(params=[False, True], ids=["in-process", "sandboxed"])
def sandboxed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_keys_and_arguments_are_checked_as_in_a_pod(tmp_path: Path, sandboxed: bool) -> None:
    (tmp_path / "kept.py").write_text(SOURCE)
    (tmp_path / "kept.yaml").write_text("{effects: read, storage: ['mine:*']}")
    with PluginTest(tmp_path / "kept.py", sandboxed=sandboxed) as plugin:
        assert plugin.run(key="mine:1", number=1)[0] == 1
        with pytest.raises(ToolFailed, match="number must be of type integer"):
            plugin.run(key="mine:1", number="one")
        with pytest.raises(ToolFailed, match="PermissionError"):
            plugin.run(key="other", number=1)
