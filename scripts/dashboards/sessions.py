"""Sessions: what pods remember of them, what was lost, and what rests in the archive."""

from scripts.dashboards.model import Dashboard, Panel, Query, Row
from scripts.dashboards.overview import quantiles

_LIVE = Row(
    "In use",
    (
        Panel(
            "What pods remember",
            "Turns begun in a session with a history: all of it was in memory (hit), or part of it,"
            " or nothing. Sessions that stay at their pod are hits.",
            (Query("sum by (result) (rate(kotaemon_session_cache_total{NS}[R]))", "{{result}}"),),
            unit="ops",
            stacked=True,
            width=12,
        ),
        Panel(
            "Hot answers",
            "Turns by what became of the look for an answer that others got: it was there (hit), or"
            " was being made (joined); it is made to be kept (made), or was asked for the first"
            " time (first). Skipped: history, user or tools took part.",
            (Query("sum by (result) (rate(kotaemon_answer_cache_total{NS}[R]))", "{{result}}"),),
            unit="ops",
            stacked=True,
            width=12,
        ),
        Panel(
            "Searches remembered",
            "Searches of turns whose passages the pod remembered (hit), or did not (miss).",
            (Query("sum by (result) (rate(kotaemon_retrieval_cache_total{NS}[R]))", "{{result}}"),),
            unit="ops",
            stacked=True,
            width=12,
        ),
        Panel(
            "Told as gone",
            "The store had lost the end of a session (rolled_back), all of it (wiped), or a turn"
            " that somebody followed.",
            (Query("sum by (reason) (rate(kotaemon_sessions_gone_total{NS}[R]))", "{{reason}}"),),
            unit="ops",
            width=12,
        ),
    ),
)

_ARCHIVE = Row(
    "At rest",
    (
        Panel(
            "Archived",
            "Sessions moved to the artifact store in an hour, and those that the session store had"
            " forgotten and knows again.",
            (
                Query("sum(increase(kotaemon_sessions_archived_total{NS}[1h]))", "archived"),
                Query("sum(increase(kotaemon_sessions_marked_total{NS}[1h]))", "marked again"),
            ),
        ),
        Panel(
            "Time to archive one",
            "Reading it, writing its copy, removing it.",
            quantiles("kotaemon_archive_seconds"),
            unit="s",
        ),
        Panel(
            "Failures",
            "In an hour: what could not be archived, by reason, and sessions that ended before.",
            (
                Query(
                    "sum by (reason) (increase(kotaemon_archive_failures_total{NS}[1h]))",
                    "{{reason}}",
                ),
                Query("sum(increase(kotaemon_sessions_expired_total{NS}[1h]))", "lost"),
            ),
            steps=((1, "red"),),
        ),
        Panel(
            "Brought back",
            "Archived sessions that somebody asked for, by what came of it.",
            (
                Query(
                    "sum by (outcome) (rate(kotaemon_sessions_restored_total{NS}[R]))",
                    "{{outcome}}",
                ),
            ),
            unit="ops",
        ),
        Panel(
            "Time to bring one back",
            "Reading and unpacking its copy.",
            quantiles("kotaemon_session_restore_seconds"),
            unit="s",
        ),
        Panel(
            "Copies removed",
            "In an hour: their time was over, a newer one is there, or the session was deleted.",
            (
                Query(
                    "sum by (reason) (increase(kotaemon_archive_copies_removed_total{NS}[1h]))",
                    "{{reason}}",
                ),
            ),
        ),
    ),
)

_LATER = Row(
    "Done later",
    (
        Panel(
            "Delayed jobs",
            "How many of them have not ended, by kind: follow-ups, webhooks, outcomes that are to"
            " be found out, slow calls.",
            (Query("max by (kind) (kotaemon_later_waiting{NS})", "{{kind}}"),),
        ),
        Panel(
            "Late",
            "For how long the oldest one is due that no pod has begun. More than a minute: pods"
            " have no room for them, or none knows the kind.",
            (Query("max by (kind) (kotaemon_later_late_seconds{NS})", "{{kind}}"),),
            unit="s",
            steps=((60, "orange"), (300, "red")),
        ),
        Panel(
            "Dead letters",
            "Jobs that are not tried any more; GET /v1/dead-letters says why.",
            (Query("max by (kind) (kotaemon_later_dead{NS})", "{{kind}}"),),
            steps=((1, "orange"),),
        ),
        Panel(
            "Carried out",
            "Jobs by kind and how they ended. Failed ones are tried again.",
            (
                Query(
                    "sum by (kind, outcome) (rate(kotaemon_later_jobs_total{NS}[R]))",
                    "{{kind}} {{outcome}}",
                ),
            ),
            unit="ops",
            width=24,
        ),
    ),
)

SESSIONS = Dashboard(
    uid="kotaemon-sessions",
    title="kotaemon: sessions and archive",
    meaning="What pods remember of sessions, what was lost, and what rests in the archive.",
    rows=(_LIVE, _LATER, _ARCHIVE),
)
