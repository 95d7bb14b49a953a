"""One turn as a client in the cluster sees it; lines of JSON tell how far it is.

    python turn.py URL MESSAGE [--after TEXTS]

``amid``: so many texts came, from that pod. ``end``: all of it, with the longest silence between
two texts. The caller's key stands in API_KEY.
"""

import argparse
import json
import os
import sys
from itertools import pairwise
from typing import Any

from kotaemon_node.chaos.access import Access
from kotaemon_node.chaos.reader import Arrival, Reading, TurnReader

TURN_MAX_S = 180.0


def main() -> None:
    """Follow the turn to its end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("message")
    parser.add_argument("--after", type=int, default=0)
    asked = parser.parse_args()
    access = Access(os.environ.get("API_KEY", ""))
    session = access.session(asked.url, "e2e-turn", failed=_complain)
    texts = 0

    def frame(arrival: Arrival) -> None:
        nonlocal texts
        texts += arrival.frame["type"] == "text"
        if texts == asked.after and arrival.frame["type"] == "text":
            served_by = reader.reading.tries[arrival.in_try].served_by
            _tell(event="amid", served_by=served_by, texts=texts)

    reader = TurnReader(
        asked.url,
        session_id=session,
        turn_id="e2e",
        message=asked.message,
        on_frame=frame,
        headers=access.headers,
    )
    _tell(event="end", session=session, **_shown(reader.read(timeout_s=TURN_MAX_S)))


def _shown(reading: Reading) -> dict[str, Any]:
    times = [one.at_s for one in reading.arrivals if one.frame["type"] == "text"]
    gaps = sorted(later - before for before, later in pairwise(times))
    return {
        "state": reading.state,
        "text": reading.text,
        "degraded": (reading.terminal or {}).get("degraded"),
        "problems": reading.problems,
        "refusal": reading.refusal,
        "texts": len(times),
        "restarts": reading.restarts,
        "taken_over": sum(one.get("phase") == "taken_over" for one in reading.frames("status")),
        "tries": [[one.served_by, one.end, one.reason] for one in reading.tries],
        "first_text_ms": round((times[0] - reading.began_s) * 1000, 1) if times else None,
        "usual_gap_ms": round(gaps[len(gaps) // 2] * 1000, 1) if gaps else None,
        "longest_gap_ms": round(gaps[-1] * 1000, 1) if gaps else None,
    }


def _tell(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


def _complain(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
