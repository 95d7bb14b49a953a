"""What a pod shows of its running turns, where tasks take turns on one thread."""

import subprocess
import sys

PUBLISHES = """
from gevent import monkey
monkey.patch_all()
import gevent
from kotaemon_node.domain.frames import Frame
from kotaemon_node.engine.live import LiveTurn

live, ran, ended = LiveTurn([], fence=1), [], []
gevent.spawn(lambda: ended.append(live.ended(timeout_s=60)))
gevent.sleep(0)
gevent.spawn(ran.append, "another task")
for number in range(1, 51):
    live.publish([Frame("text", {"content": "a", "offset": 0}, "t1", "trace", number)])
turn = object()
live.end(turn, [])
assert not ran, "publishing let another task run"
live.close()
gevent.sleep(0)
gevent.sleep(0)
assert (ran, ended) == (["another task"], [turn])
"""


def test_a_frame_is_shown_without_letting_others_run_in_between() -> None:
    # Else what is stored together is shown apart, and the next write waits for all who run.
    done = subprocess.run(
        [sys.executable, "-c", PUBLISHES],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
