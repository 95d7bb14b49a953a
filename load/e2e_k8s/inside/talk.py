"""Clients who talk until standard input ends; then their log is judged. Lines of JSON tell of it.

    python talk.py URL --clients 8 --seed 1

``talking``: their first turns ended. ``end``: what they saw, and which promises were broken. The
caller's key stands in API_KEY.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from kotaemon_node.chaos.access import Access
from kotaemon_node.chaos.figures import spread
from kotaemon_node.chaos.notes import Notes
from kotaemon_node.chaos.report import seen_by_clients
from kotaemon_node.chaos.writers import Writers
from kotaemon_node.proof import check

_POLL_S = 0.2
_TRIES_FINAL = 60


def main() -> None:
    """Talk as long as the input is open."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    stopped = threading.Event()
    threading.Thread(target=_until_input_ends, args=(stopped,), daemon=True).start()
    with (
        tempfile.TemporaryDirectory() as folder,
        Notes(Path(folder) / "log.jsonl") as notes,
    ):
        writers = Writers(
            asked.url,
            notes,
            clients=asked.clients,
            seed=asked.seed,
            label=f"e2e-{os.getpid()}-",
            access=Access(os.environ.get("API_KEY", "")),
        )
        began_s = time.monotonic()
        with writers:
            while not stopped.wait(_POLL_S) and len(writers.finished(1)) == 0:
                pass
            _tell(event="talking", clients=asked.clients)
            stopped.wait()
        seconds = time.monotonic() - began_s
        unread = [one for one in writers.sessions() if not _read(writers, one)]
        violations = [str(one) for one in check(notes.facts())]
        _tell(
            event="end",
            seconds=round(seconds, 1),
            clients=asked.clients,
            violations=violations,
            histories_not_read=unread,
            read_errors=writers.counts.read_errors[:20],
            first_text_ms=_first_texts(writers),
            **seen_by_clients(writers),
        )


def _until_input_ends(stopped: threading.Event) -> None:
    sys.stdin.read()
    stopped.set()


def _read(writers: Writers, session: str) -> bool:
    for _ in range(_TRIES_FINAL):
        if writers.read(session, client="judge", final=True):
            return True
        time.sleep(_POLL_S)
    return False


def _first_texts(writers: Writers) -> dict[str, float]:
    found = []
    for talk in writers.talks:
        for reading in talk.readings[:1]:
            at_s = next((a.at_s for a in reading.arrivals if a.frame["type"] == "text"), None)
            found += [] if at_s is None else [(at_s - reading.began_s) * 1000]
    return spread(found)


def _tell(**fields: Any) -> None:
    print(json.dumps(fields, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
