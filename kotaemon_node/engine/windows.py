"""Windows: text that comes within one shares a frame, so that a long answer is few writes.

At first they are short, so that an answer begins to flow at once; they grow over its first seconds.
"""

from kotaemon_node.domain import limits

_SAME_S = 0.005
"""Who gives its text in such windows itself is not held again for what two clocks differ by."""


def text_window_s(elapsed_s: float) -> float:
    """Return how long a text may wait for more, ``elapsed_s`` after the owner's first text."""
    grown = min(1.0, elapsed_s / limits.TEXT_WINDOW_GROWS_S)
    return limits.TEXT_WINDOW_MIN_S + grown * (limits.TEXT_WINDOW_MAX_S - limits.TEXT_WINDOW_MIN_S)


class TextWindows:
    """The windows of one owner of a turn."""

    def __init__(self) -> None:
        self.since_s: float | None = None
        """When the first text came."""
        self._due_s = 0.0
        """When the newest frame is to be stored."""

    def rest_s(self, now_s: float) -> float:
        """Return how long the text that comes now may wait for more.

        The first one, and one that comes a window after the frame before, waits for nothing.
        """
        if self.since_s is None:
            self.since_s = self._due_s = now_s
        if self._due_s <= now_s:
            open_until_s = self._due_s + text_window_s(self._due_s - self.since_s)
            waits = now_s > self.since_s and open_until_s - now_s > _SAME_S
            self._due_s = open_until_s if waits else now_s
        return self._due_s - now_s
