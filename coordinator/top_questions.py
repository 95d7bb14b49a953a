"""Tells Prometheus which questions were asked most often, where that is wished.

Law 1: nothing of what people ask is told unless ``QUESTIONS_IN_METRICS`` says so: whoever reads
       metrics may not be whom conversations are for.
Law 2: only the coordinator that leads tells them, and at most ``TOP_QUESTIONS_SHOWN`` at a time of
       ``TOP_QUESTION_CHARS_MAX`` characters for each of ``TOP_QUESTIONS_TENANTS_MAX`` tenants, so
       that the number of series stays small. Tenants that asked most come first.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import structlog

from kotaemon_node.domain.errors import MasterKeyMissing, StoreUnavailable
from kotaemon_node.domain.limits import (
    TOP_QUESTION_CHARS_MAX,
    TOP_QUESTIONS_DAYS,
    TOP_QUESTIONS_EVERY_S,
    TOP_QUESTIONS_SHOWN,
    TOP_QUESTIONS_TENANTS_MAX,
)
from kotaemon_node.ports.analytics import Analytics
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)


class TopQuestions:
    """Looks now and then; ``run`` returns at once where it is not wished."""

    def __init__(
        self,
        analytics: Analytics,
        *,
        wished: bool,
        leads: Callable[[], bool],
        show: Callable[[Mapping[tuple[str, str], int]], None],
        clock: Clock,
        tenants: Callable[[], Collection[str]],
    ) -> None:
        """``show`` is given tenant and question to turns, and shows nothing else from then on."""
        self._analytics = analytics
        self._wished = wished
        self._leads = leads
        self._show = show
        self._clock = clock
        self._tenants = tenants
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look until ``stop`` is called."""
        while self._wished and not self._stopped.is_set():
            self.look()
            self._stopped.wait(TOP_QUESTIONS_EVERY_S)

    def stop(self) -> None:
        """End ``run`` soon."""
        self._stopped.set()

    def look(self) -> None:
        """Show what was asked most often in the last days; nothing where another leads."""
        if not self._leads():
            self._show({})
            return
        today = datetime.fromtimestamp(self._clock.now_s(), UTC).date()
        days = [today - timedelta(days=number) for number in range(TOP_QUESTIONS_DAYS)]
        try:
            asked = {tenant: self._asked(tenant, days) for tenant in self._tenants()}
        except (StoreUnavailable, MasterKeyMissing) as error:
            # What was shown stays until the store is back.
            _log.info("top_questions_not_read", reason=str(error))
            return
        busiest = sorted(asked, key=lambda tenant: (-asked[tenant].total(), tenant))
        shown = {
            (tenant, question[:TOP_QUESTION_CHARS_MAX]): turns
            for tenant in busiest[:TOP_QUESTIONS_TENANTS_MAX]
            for question, turns in _ranked(asked[tenant])[:TOP_QUESTIONS_SHOWN]
        }
        self._show(shown)

    def _asked(self, tenant: str, days: Sequence[date]) -> Counter[str]:
        asked = Counter[str]()
        for day in self._analytics.days(tenant, days):
            asked.update(day.asked)
        return asked


def _ranked(asked: Counter[str]) -> Sequence[tuple[str, int]]:
    return sorted(asked.items(), key=lambda one: (-one[1], one[0]))
