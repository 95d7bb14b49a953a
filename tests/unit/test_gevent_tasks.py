"""Native threads of a pod: what fails there is told to who asked, and to nobody else."""

import subprocess
import sys

_COMPUTE = """
from kotaemon_node.adapters.system.gevent_tasks import GeventTasks

try:
    GeventTasks(native_threads=1).compute(int, "none")
except ValueError as error:
    print(f"told: {error}")
print(GeventTasks(native_threads=1).compute(int, "7"))
"""


def test_what_fails_is_told_to_who_asked_and_not_to_the_log() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _COMPUTE], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.splitlines() == ["told: invalid literal for int() with base 10: 'none'", "7"]
    assert done.stderr == ""
