"""Tells soon when something in the knowledge folder changes. A hint: the periodic scan decides."""

import os
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

import structlog
from watchfiles import watch

from kotaemon_node.domain import limits
from kotaemon_node.domain.document_names import TENANTS_FOLDER, temporary

_log = structlog.get_logger(__name__)

_QUIET_MS: Final = 50
_RETRY_S: Final = 5.0


class FolderWatch:
    """Calls ``hint`` after changes below ``root`` with their paths, a burst of them once."""

    def __init__(self, root: Path, *, hint: Callable[[Collection[str]], None]) -> None:
        # Paths are told as they really are.
        self._root = root.resolve()
        self._hint = hint
        self._stop = threading.Event()

    def run(self) -> None:
        """Watch until ``stop``; when notifications fail, the periodic scan goes on alone."""
        while not self._stop.is_set():
            try:
                self._follow()
            except (OSError, RuntimeError) as error:
                # No more watches, a file system without them, or the folder is not there.
                _log.warning("folder_not_watched", error=str(error), again_in_s=_RETRY_S)
                self._stop.wait(_RETRY_S)

    def stop(self) -> None:
        """End ``run``."""
        self._stop.set()

    def _follow(self) -> None:
        for changes in watch(
            self._root,
            watch_filter=lambda _, path: self._concerns(path),
            debounce=limits.WATCH_DEBOUNCE_MS,
            step=_QUIET_MS,
            stop_event=self._stop,
            raise_interrupt=False,
        ):
            if changes:
                self._hint([os.path.relpath(path, self._root) for _, path in changes])

    def _concerns(self, path: str) -> bool:
        """Tell whether a scan would look there: a cluster's own hidden folder is never quiet."""
        steps = Path(os.path.relpath(path, self._root)).parts
        if len(steps) > 1 and steps[0] == TENANTS_FOLDER:
            steps = steps[1:]
        return not any(map(temporary, steps))
