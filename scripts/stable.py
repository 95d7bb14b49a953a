"""``python -m scripts.stable [--breaking]`` keeps what others build on, as it is now.

It refuses to keep what breaks programs of others, and names it; ``--breaking`` keeps it all the
same, for a version whose changelog says so.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from scripts.stable_rules import broken
from scripts.stable_surface import surface
from tests.fakes.services import FakeCluster

KEPT: Final = Path(__file__).parents[1] / "tests" / "golden" / "stable.json"


def now() -> dict[str, Any]:
    """Return the surface of this tree."""
    said: dict[str, Any] = surface(FakeCluster().client().get("/openapi.json").json)
    # As it comes out of a file: numbers, lists and texts.
    return dict(json.loads(json.dumps(said)))


def kept() -> dict[str, Any]:
    """Return the surface that was kept last."""
    return dict(json.loads(KEPT.read_text("utf-8")))


def main() -> int:
    """Keep it, or say what breaks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--breaking", action="store_true")
    asked = parser.parse_args()
    found = now()
    problems = list(broken(kept(), found)) if KEPT.exists() else []
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    if problems and not asked.breaking:
        return 1
    text = json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    KEPT.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
