"""Who owned each turn, by incarnation: which turns went from one version to the other."""

import threading
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Final, Self

from kotaemon_node.chaos.store import StoreView
from kotaemon_node.chaos.writers import Writers
from kotaemon_node.domain.errors import StoreUnavailable

_LOOK_S: Final = 0.1


class Owners:
    """Looks at the turns under way all the time and notes each owner that it sees."""

    def __init__(self, writers: Writers, store: StoreView) -> None:
        self._writers = writers
        self._store = store
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._seen: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def on(self, pod: str) -> int:
        """Return how many turns run on a pod just now."""
        talks = self._writers.unfinished()
        stored = self._store.look([talk.key for talk in talks])
        return sum(one.state == "running" and one.pod == pod for one in stored)

    def crossings(self, versions: Mapping[str, str]) -> Counter[str]:
        """Return how often a turn went from a pod of one version to one of another or the same.

        ``versions``: incarnation to version. Keys are ``old to new`` and the like.
        """
        found: Counter[str] = Counter()
        for owners in self._seen.values():
            said = [versions.get(owner, "unknown") for owner in owners]
            found.update(f"{one} to {next_}" for one, next_ in pairwise(said))
        return found

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_S):
            talks = self._writers.unfinished()
            try:
                stored = self._store.look([talk.key for talk in talks])
            except StoreUnavailable:
                continue  # the machine was too busy: the next look comes at once
            for talk, one in zip(talks, stored, strict=True):
                owners = self._seen.setdefault(talk.turn, [])
                if one.owner and owners[-1:] != [one.owner]:
                    owners.append(one.owner)
