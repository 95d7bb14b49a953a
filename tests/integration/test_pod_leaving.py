"""A real pod that is told to leave, then stopped: what it does for whom meanwhile."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import requests

from tests.redis_server import RedisServer, free_port
from tests.scripted_pods import ScriptedPod, until

PIECES = 40
PAUSE_MS = 50


def leave(port: int, answers: list[tuple[int, float]]) -> None:
    began = time.monotonic()
    answer = requests.get(f"http://127.0.0.1:{port}/leave", timeout=60)
    answers.append((answer.status_code, time.monotonic() - began))


def test_a_pod_that_is_told_to_leave_takes_nothing_new_and_ends_what_it_has(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    port = free_port()
    settings = {"LEAVE_PORT": str(port), "LEAVE_WAIT_S": "1"}
    answers: list[tuple[int, float]] = []
    with ScriptedPod(tmp_path, redis_server.url, name="leaving", settings=settings) as pod:
        script = {"pieces": PIECES, "pause_ms": PAUSE_MS}
        with requests.post(
            f"{pod.url}/v1/sessions/leaving/turns",
            json={"message": json.dumps(script)},
            headers={"Accept": "text/event-stream"},
            stream=True,
            timeout=60,
        ) as stream:
            lines = stream.iter_lines()
            assert b"" not in (next(lines), next(lines))
            calls = [threading.Thread(target=leave, args=(port, answers)) for _ in range(3)]
            for call in calls:
                call.start()

            until(
                lambda: requests.get(f"{pod.url}/balancer/local", timeout=30).status_code == 404,
                what="the balancer is told",
            )
            refused = pod.ask("new", "t1", pieces=1)
            for call in calls:
                call.join(60)
            os.kill(pod.pid, signal.SIGTERM)
            rest = b"\n".join(lines).decode()
        status = pod.wait_ended()

        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "draining"
        assert [status for status, _ in answers] == [200, 200, 200]
        assert all(took_s >= 0.9 for _, took_s in answers)
        # The turn ran for longer than the leaving took, and was not given up.
        assert f"{PIECES - 1:05d} " in rest
        assert '"type":"done"' in rest.replace(" ", "")
        # Who started it can tell this from a death.
        assert status == 0


def test_a_pod_that_is_killed_ends_with_an_error(tmp_path: Path, redis_server: RedisServer) -> None:
    with ScriptedPod(tmp_path, redis_server.url, name="killed") as pod:
        os.kill(pod.pid, signal.SIGKILL)

        assert pod.wait_ended() != 0


def test_a_pod_that_is_told_to_leave_and_not_stopped_ends_by_itself(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    port = free_port()
    settings = {"LEAVE_PORT": str(port), "LEAVE_WAIT_S": "0.1", "LEAVE_ENDS_S": "0.3"}
    with ScriptedPod(tmp_path, redis_server.url, name="stray", settings=settings) as pod:
        assert requests.get(f"http://127.0.0.1:{port}/leave", timeout=60).status_code == 200

        pod.wait_ended()


def test_a_pod_with_an_address_that_names_nobody_says_so_and_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "gunicorn", "-c", "python:kotaemon_node.server.gunicorn_conf"),
            "kotaemon_node.server.wsgi:app",
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "POD_ADDRESS": "0.0.0.0:8000",
        },
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode != 0
    assert "POD_ADDRESS is 0.0.0.0:8000" in done.stderr
    assert "$(POD_IP):8000" in done.stderr
