"""``python -m load.bench.speed``: as ``python -m load.bench speed``."""

import sys

from load.bench.speed.run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
