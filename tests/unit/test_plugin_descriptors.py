"""What a plugin's process inherits: its line and its output, whatever numbers a pod has open."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

CHILD = """
    import os, resource
    from kotaemon_node.plugins.child.resources import bound_resources
    high = 70_000
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (high + 1, high + 1))
    except (OSError, ValueError):  # only root may raise it
        high = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1
    for descriptor in (3, 4, 77, high):
        os.dup2(0, descriptor, inheritable=True)
    bound_resources({"memory_bytes": 2**32, "files": 32})
    there = []
    for descriptor in (0, 1, 2, 3, 4, 77, high):
        try:
            os.fstat(descriptor)
            there.append(descriptor)
        except OSError:
            pass
    print(there)
"""


def test_no_descriptor_of_the_pod_is_left_however_high_its_number() -> None:
    told = subprocess.run(
        [sys.executable, "-c", dedent(CHILD)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert told.stdout == "[0, 1, 2, 3]\n"
