"""Runs supervisord; after ``--with-parent PID`` it ends when that parent ends.

A cluster in the foreground must not outlive the command that started it, even where that is killed
and cannot stop anything any more: the kernel then sends TERM here, and TERM is the orderly end.
"""

import ctypes
import os
import signal
import sys

from supervisor.supervisord import main

WITH_PARENT = "--with-parent"
_PR_SET_PDEATHSIG = 1


def run() -> None:
    """Take the place of the ``supervisord`` command."""
    arguments = sys.argv[1:]
    if arguments[:1] == [WITH_PARENT]:
        parent, arguments = int(arguments[1]), arguments[2:]
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            return  # it ended before the kernel was told
    main(arguments)


if __name__ == "__main__":
    run()
