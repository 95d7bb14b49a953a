"""A loop that only computes, on one core: how much more two cores do than one, whoever uses them.

    python -m load.bench.speed.spinning < plan.json

The plan says ``seconds``. Cores of a virtual machine are often two threads of one real core, and
share what that computes; no second worker brings more than this loop gets from a second core.
"""

import json
import sys
import time
from typing import Final

import numpy as np

_TURN: Final = {"text": "What does the office pay for a train ticket?", "numbers": [1.5] * 64}
_ROWS: Final = 2_000
_WIDTH: Final = 384


def main() -> int:
    """Compute for so long; print how many rounds were done a second."""
    seconds = float(json.load(sys.stdin)["seconds"])
    table = np.ones((_ROWS, _WIDTH), dtype=np.float32)
    question = np.ones(_WIDTH, dtype=np.float32)
    began_s = now_s = time.perf_counter()
    rounds = 0
    while now_s - began_s < seconds:
        for _ in range(20):  # about as long as the product is
            json.loads(json.dumps(_TURN))
        table @ question
        rounds += 1
        now_s = time.perf_counter()
    print(json.dumps({"per_s": rounds / (now_s - began_s)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
