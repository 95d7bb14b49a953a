"""The container that grants rights in the chart's Kafka ends with its pod, whatever it is at."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.helm_chart import F, containers, one, rendered
from tests.redis_sets import until


@pytest.mark.parametrize("at", ["waits for the broker", "has granted"])
def test_it_ends_as_soon_as_its_pod_has_to(tmp_path: Path, at: str) -> None:
    """And what it started ends with it: nobody waits for the grace of a pod to be over."""
    spec = one(rendered(), "StatefulSet", f"{F}-kafka")["spec"]["template"]["spec"]
    [container] = [it for it in containers(spec) if it["name"] == "rights"]
    *shell, script = container["command"]
    granted, begun, program = (tmp_path / name for name in ("granted", "begun", "kotaemon"))
    stays = "exec sleep 300" if at == "waits for the broker" else "exit 0"
    program.write_text(f"#!/bin/sh\necho $$ >{begun}\n{stays}\n")
    program.chmod(0o755)
    awaited = begun if at == "waits for the broker" else granted

    running = subprocess.Popen(
        [*shell, script.replace("/tmp/granted", str(granted))],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    try:
        assert until(lambda: awaited.exists() and (awaited == granted or awaited.read_text()))
        assert granted.exists() == (at == "has granted")
        running.terminate()
        # Asked to end, not killed by the signal: a container's first process never is.
        assert running.wait(30) == 0
        pid = int(begun.read_text())
        assert until(lambda: not Path(f"/proc/{pid}").exists())
    finally:
        running.kill()
        running.wait(30)
