"""What is dear to start and shared by tests of several files: started once, ended behind the last.

A cluster that nobody asks anything takes a tenth of a core, and each process of a test run would
have its own until the end. So the files that share one go to one process, one behind the other, and
it ends as soon as that process comes to another file. ``tests/conftest.py`` has the hooks.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import pytest
from xdist.scheduler import LoadFileScheduling

SHARED_BY: Final[Mapping[str, frozenset[str]]] = {
    "shared_cluster": frozenset(
        {
            "tests/browser/test_page_cluster.py",
            "tests/contract/test_redis_keys.py",
            "tests/integration/test_chart_conversation.py",
            "tests/integration/test_cli_talk.py",
            "tests/integration/test_cluster_books.py",
            "tests/integration/test_cluster_story.py",
            "tests/integration/test_openai_cluster.py",
        }
    ),
    "shared_turn_cluster": frozenset(
        {
            "tests/integration/test_cluster_session_stream.py",
            "tests/integration/test_takeover.py",
            "tests/integration/test_takeover_faults.py",
            "tests/integration/test_takeover_posts.py",
        }
    ),
}
"""The files whose short tests ask for a shared fixture, by its name: all that a scheduler sees.

Long tests run in one process, all of them.
"""

_T = TypeVar("_T")


class Shared(Generic[_T]):
    """One thing, started when it is first asked for, and again when it was ended meanwhile."""

    def __init__(self, name: str, start: Callable[[Path], AbstractContextManager[_T]]) -> None:
        """``start`` gets a folder that lasts as long as the test run, the same each time."""
        self._start = start
        self._running: tuple[AbstractContextManager[_T], _T] | None = None
        _ALL[name] = self

    def get(self, folder: Path) -> _T:
        """Return it, running."""
        if self._running is None:
            folder.mkdir(exist_ok=True)
            context = self._start(folder)
            self._running = context, context.__enter__()
        return self._running[1]

    def end(self) -> None:
        """End it; nothing where it does not run."""
        if self._running is not None:
            context, _ = self._running
            self._running = None
            context.__exit__(None, None, None)


_ALL: Final[dict[str, Shared[Any]]] = {}


class SharingTogether(LoadFileScheduling):
    """A file is for one process, and so are all files that share something."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((name for name, files in SHARED_BY.items() if file in files), file)


def unlisted(items: Iterable[pytest.Item]) -> list[str]:
    """Return what is missing in ``SHARED_BY``, a sentence each."""
    asked = {
        (_file(item), name)
        for item in items
        for name in SHARED_BY.keys() & set(getattr(item, "fixturenames", ()))
    }
    return [
        f"{file} asks for {name}: add it to SHARED_BY, lest it be started once more"
        for file, name in sorted(asked)
        if file not in SHARED_BY[name]
    ]


def end_unshared(nextitem: pytest.Item | None) -> None:
    """End what the next test's file does not share; all where there is no next test."""
    for name, shared in _ALL.items():
        if nextitem is None or _file(nextitem) not in SHARED_BY[name]:
            shared.end()


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
