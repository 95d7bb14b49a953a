"""The standard library is patched whole, without a question to every installed package."""

import json
import subprocess
import sys

_PROGRAM = """
import importlib.metadata, json
asked = []
of_packages = importlib.metadata.entry_points
importlib.metadata.entry_points = lambda **it: asked.append(it) or of_packages(**it)
from kotaemon_node.server.patching import patch_all
patch_all()
from gevent import events, monkey
names = ("socket", "ssl", "threading", "time", "select", "signal", "subprocess", "queue", "os")
patched = {name: bool(monkey.is_module_patched(name)) for name in names}
as_before = events.notify_and_call_entry_points is not events.notify
print(json.dumps({"asked": asked, "patched": patched, "as_before": as_before}))
"""


def test_all_is_patched_and_no_package_is_asked() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", _PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(run.stdout)
    assert [name for name, done in found["patched"].items() if not done] == []
    assert found["asked"] == []
    assert found["as_before"]
