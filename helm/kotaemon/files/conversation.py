"""Holds a conversation with the cluster at the address given, and loses its stream on the way.

The pod of `helm test` runs it. It ends with 0 when every frame came exactly once and the session
holds what was said; the admin's key stands in ADMIN_KEY.
"""

import json
import os
import ssl
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

PATIENCE_S = 120.0
QUESTION = "How long does shipping take, and what does it cost?"
Frame = dict[str, Any]
# Inside the cluster the balancer is found by its service's name, for which no certificate is made.
ANYBODY = ssl.create_default_context()
ANYBODY.check_hostname = False
ANYBODY.verify_mode = ssl.CERT_NONE


def call(method: str, url: str, body: object = None, **headers: str) -> Any:
    """Return the open answer; a pod or a name that is not there yet is asked again."""
    wanted = {name.replace("_", "-"): value for name, value in headers.items()}
    if key := os.environ.get("ADMIN_KEY"):
        wanted["Authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        wanted["Content-Type"] = "application/json"
    ends_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            return urlopen(Request(url, data, wanted, method=method), timeout=30, context=ANYBODY)
        except HTTPError as error:
            if error.code not in (429, 502, 503, 504) or time.monotonic() > ends_at:
                sys.exit(f"{method} {url}: {error.code} {error.read(500).decode(errors='replace')}")
        except OSError as error:  # a name, a connection, or an answer that did not come
            if time.monotonic() > ends_at:
                sys.exit(f"{method} {url}: {error}")
        time.sleep(1)


def frames(answer: Any) -> Iterator[Frame]:
    """Yield the numbered frames of an event stream."""
    for line in answer:
        if line.startswith(b"data:"):
            frame = json.loads(line[5:])
            if frame.get("seq") is not None:
                yield frame


def converse(base: str) -> str:
    """Ask once, drop the stream at its first frame, resume it, and compare with the session."""
    with call("POST", f"{base}/v1/sessions", {}) as answer:
        session = f"{base}/v1/sessions/{json.load(answer)['session_id']}"
    turn = "helm-test"
    asked = call(
        "POST",
        f"{session}/turns",
        {"message": QUESTION, "turn_id": turn},
        Accept="text/event-stream",
    )
    with asked:
        seen = [next(frames(asked))]
    ended = False
    ends_at = time.monotonic() + PATIENCE_S
    while not ended:
        if time.monotonic() > ends_at:
            sys.exit(f"the turn did not end; frames seen: {seen}")
        last = f"{turn}:{seen[-1]['seq']}"
        followed = call(
            "GET", f"{session}/turns/{turn}/stream", Accept="text/event-stream", Last_Event_ID=last
        )
        with followed:
            seen += frames(followed)
        ended = seen[-1]["type"] in ("done", "error")
    numbers = [frame["seq"] for frame in seen]
    if numbers != list(range(1, len(seen) + 1)) or seen[-1]["type"] != "done":
        sys.exit(f"frames are missing, doubled, or end in an error: {seen}")
    with call("GET", session) as answer:
        turns = json.load(answer)["turns"]
    call("DELETE", session).close()
    if [kept["turn_id"] for kept in turns] != [turn]:
        sys.exit(f"the session does not hold the turn: {turns}")
    return f"{len(seen)} frames, the stream resumed after the first: {turns[0].get('answer', '')!r}"


if __name__ == "__main__":
    print(converse(sys.argv[1].rstrip("/")))
