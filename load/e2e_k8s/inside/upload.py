"""Uploads a document and waits until every pod serves it; a line of JSON tells the times.

    python upload.py URL WORD

The document says what WORD means, which nobody knew before. The caller's key stands in API_KEY.
"""

import argparse
import json
import os
import time
from typing import Any

import requests

from kotaemon_node.chaos.access import Access

_PATIENCE_S = 120.0
_POLL_S = 0.02
_TIMEOUT_S = 30.0
_KB = "default"


def main() -> None:
    """Upload, wait, look."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("word")
    asked = parser.parse_args()
    access = Access(os.environ.get("API_KEY", ""))
    session = requests.Session()
    session.headers.update(access.headers)
    text = f"# The {asked.word}\n\nThe {asked.word} is kept in the third drawer from the top.\n"
    began_s = time.monotonic()
    answer = session.post(
        f"{asked.url}/v1/knowledge/{_KB}/documents",
        data={"path": f"{asked.word}.md"},
        files={"file": (f"{asked.word}.md", text.encode())},
        timeout=_TIMEOUT_S,
    )
    answer.raise_for_status()
    accepted_s = time.monotonic() - began_s
    job = _until(lambda: _job(session, asked.url, answer.json()["job"]))
    published_s = time.monotonic() - began_s
    generation = int(job["result"]["generation"])
    pods = _until(lambda: _all_serve(session, asked.url, generation))
    everywhere_s = time.monotonic() - began_s
    found = session.get(
        f"{asked.url}/v1/search",
        params={"q": f"Where is the {asked.word} kept?", "min_generation": str(generation)},
        timeout=_TIMEOUT_S,
    )
    found.raise_for_status()
    shown = {
        "event": "end",
        "accepted_s": round(accepted_s, 3),
        "published_s": round(published_s, 3),
        "all_pods_s": round(everywhere_s, 3),
        "generation": generation,
        "pods": pods,
        "found": "third drawer" in json.dumps(found.json()),
    }
    print(json.dumps(shown), flush=True)


def _until(look: Any) -> Any:
    until_s = time.monotonic() + _PATIENCE_S
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > until_s:
            raise SystemExit("not within two minutes")
        time.sleep(_POLL_S)


def _job(session: requests.Session, url: str, job_id: str) -> dict[str, Any] | None:
    answer = session.get(f"{url}/v1/jobs/{job_id}", timeout=_TIMEOUT_S)
    answer.raise_for_status()
    job: dict[str, Any] = answer.json()
    if job["state"] == "failed":
        raise SystemExit(f"the upload failed: {job}")
    return job if job["state"] == "done" else None


def _all_serve(session: requests.Session, url: str, generation: int) -> list[str] | None:
    """Return the names of the pods when all of them serve it."""
    answer = session.get(f"{url}/v1/cluster", timeout=_TIMEOUT_S)
    answer.raise_for_status()
    shown = answer.json()
    row = next((one for one in shown["knowledge"] if one["kb"] == _KB), None)
    if row is None or not row["converged"] or row["generation"] < generation:
        return None
    return sorted(str(pod["name"]) for pod in shown["pods"])


if __name__ == "__main__":
    main()
