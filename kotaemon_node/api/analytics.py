"""Figures over many turns: what was asked, what was answered, how two arms compare."""

from datetime import UTC, date, datetime, timedelta
from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.book_forms import AnalyticsForm
from kotaemon_node.api.context import principal, services
from kotaemon_node.api.inputs import AnalyticsQuery
from kotaemon_node.api.query import read_query
from kotaemon_node.domain.errors import Invalid, NotFound
from kotaemon_node.domain.limits import ANALYTICS_DAYS_KEPT
from kotaemon_node.engine.figures import report_of

routes: Final = Blueprint("analytics", __name__)

_DAYS: Final = 7
"""Shown where nobody says from when."""


@routes.get("/v1/analytics")
def read_analytics() -> Response:
    """Read the figures of some days (UTC), those of seven where none are named."""
    query = read_query(AnalyticsQuery)
    analytics = services().analytics
    if analytics is None:
        raise NotFound("nothing is counted here")
    first, last = _days(query)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    report = report_of(analytics.days(principal().tenant, days), experiment=query.experiment or "")
    fields = {name: getattr(report, name) for name in report.__slots__}
    return json_answer(AnalyticsForm(first.isoformat(), last.isoformat(), **fields))


def _days(query: AnalyticsQuery) -> tuple[date, date]:
    today = datetime.fromtimestamp(services().clock.now_s(), UTC).date()
    last = query.to or today
    # There is no day before the year 1.
    first = query.from_ or date.fromordinal(max(1, last.toordinal() - _DAYS + 1))
    if not 0 <= (last - first).days < ANALYTICS_DAYS_KEPT:
        raise Invalid(f"from and to must name 1 to {ANALYTICS_DAYS_KEPT} days")
    return first, last
