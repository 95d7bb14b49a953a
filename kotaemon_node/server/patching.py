"""gevent's patches of the standard library, for programs that begin with them."""

from typing import Any

from gevent import config, events, monkey

_EVENTS: Any = events  # its type stubs know the events only


def patch_all() -> None:
    """Patch all that gevent patches; nothing may have imported ssl or threading before.

    gevent tells of each of its 25 steps all that any installed package registered for it, and reads
    the metadata of every package for each: half a second of a pod's start. Nobody registers but
    gevent itself, for who patches signals without processes; this patches both.
    """
    # Which task began which, with four frames of its stack each: for people who debug gevent.
    config.track_greenlet_tree = False
    asks_packages = _EVENTS.notify_and_call_entry_points
    _EVENTS.notify_and_call_entry_points = _EVENTS.notify
    try:
        monkey.patch_all()
    finally:
        _EVENTS.notify_and_call_entry_points = asks_packages
