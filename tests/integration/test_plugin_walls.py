"""A wall that the system refuses: then no plugin starts, and the reason is told."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of another machine")

POD = """
    import errno, sys
    from pathlib import Path
    from kotaemon_node.plugins.child.resources import drop_privileges
    from kotaemon_node.plugins.child.seccomp import install
    from kotaemon_node.ports.plugin_registry import PluginRefused
    from tests.sandboxed import WILD, started

    refused = int(sys.argv[2])
    drop_privileges()
    # An ordinary container profile: one call is refused, all others are allowed.
    install(
        [(0x20, 0, 0, 0), (0x15, 0, 1, refused), (0x06, 0, 0, 0x50000 | errno.EPERM),
         (0x06, 0, 0, 0x7FFF0000)],
        call=317,
    )
    try:
        with started(Path(sys.argv[1]), WILD, "timeout_s: 30") as wild:
            print("started:", wild.does("answer = 1"))
    except PluginRefused as error:
        print("refused:", error)
"""


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (444, "the kernel has no Landlock"),
        (446, "Landlock is refused"),
        (317, "a seccomp filter is"),
        (126, "capabilities"),
        (160, ""),  # setrlimit: Python asks for it by another call
        (999, ""),  # none: what the pod itself needs is not in question
    ],
)  # fmt: skip
def test_without_a_wall_nothing_starts(tmp_path: Path, call: int, why: str) -> None:
    command = [sys.executable, "-c", dedent(POD), str(tmp_path), str(call)]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=root, timeout=120, check=False
    )
    said = [line for line in done.stdout.splitlines() if line.startswith(("refused:", "started:"))]
    assert len(said) == 1, done.stderr[-2000:]
    refused = "refused: wild does not start: it cannot be confined here: "
    assert said[0].startswith(f"{refused}{why}" if why else "started: 1")
