"""Asks which pods answer: ``python who.py URL REQUESTS``; a line of JSON tells their names."""

import json
import os
import sys

import requests

from kotaemon_node.chaos.access import Access


def main() -> None:
    """Read so many sessions that are not there: their ids spread over the pods."""
    headers = Access(os.environ.get("API_KEY", "")).headers
    names = set()
    for number in range(int(sys.argv[2])):
        answer = requests.get(
            f"{sys.argv[1]}/v1/sessions/nobody-{os.getpid()}-{number}", headers=headers, timeout=10
        )
        names.add(answer.headers.get("X-Served-By", ""))
    print(json.dumps({"event": "end", "served_by": sorted(names - {""})}), flush=True)


if __name__ == "__main__":
    main()
