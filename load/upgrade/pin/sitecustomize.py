"""Keeps a process at the version that it began with: Python imports this first, from its path.

``PROGRAM_LINK`` leads to the version that starts from now on. Whatever a process imports later, and
each process that it starts itself, must be of the version it is. Only what supervisord starts is
held: it keeps its own environment, and hands that out for years.
"""

import os
import sys

_link = os.environ.get("PROGRAM_LINK")
if _link and "SUPERVISOR_PROCESS_NAME" in os.environ:
    _here = os.path.realpath(_link)
    sys.path[:] = [_here if place == _link else place for place in sys.path]
    os.environ["PYTHONPATH"] = os.environ["PYTHONPATH"].replace(_link, _here)
    del os.environ["PROGRAM_LINK"]
