"""Who is let in and how much: limits, the audit log, seals, tenants."""

from scripts.dashboards.model import Dashboard, Panel, Query, Row

_LIMITS = Row(
    "Limits",
    (
        Panel(
            "Refused",
            "By the limit that was reached. Credentials: an address had too many refused.",
            (Query("sum by (limit) (rate(kotaemon_limited_total{NS}[R]))", "{{limit}}"),),
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Refused, of all requests",
            "Above 10 % a program does not wait, or a limit is too low for what is wanted.",
            (
                Query(
                    'sum by (limit) (rate(kotaemon_limited_total{NS,limit!="credentials"}[R]))'
                    " / on () group_left sum(rate(kotaemon_http_requests_total{NS}[R]))",
                    "{{limit}}",
                ),
            ),
            unit="percentunit",
            steps=((0.1, "orange"),),
        ),
        Panel(
            "Let in uncounted",
            "Requests that no limit was asked for, because the store did not answer.",
            (Query("sum(rate(kotaemon_limits_unchecked_total{NS}[R]))", "requests"),),
            unit="ops",
            steps=((0.001, "orange"),),
        ),
        Panel(
            "Addresses left out",
            "In an hour, addresses that a model wrote and that nothing it read has.",
            (Query("sum(increase(kotaemon_links_left_out_total{NS}[1h]))", "addresses"),),
        ),
    ),
)

_AUDIT = Row(
    "Audit log, seals, tenants",
    (
        Panel(
            "Entries of the audit log",
            "Written by pods; lost are those for which the store was away too long.",
            (
                Query("sum(rate(kotaemon_audit_entries_total{NS}[R]))", "written"),
                Query("sum(rate(kotaemon_audit_lost_total{NS}[R]))", "lost"),
            ),
            unit="ops",
        ),
        Panel(
            "What did not open",
            "Sealed values, by why: its key is not here, it was destroyed, or it was altered.",
            (Query("sum by (reason) (rate(kotaemon_seals_refused_total{NS}[R]))", "{{reason}}"),),
            unit="ops",
            stacked=True,
            steps=((0.001, "orange"),),
        ),
        Panel(
            "Tenants open",
            "Tenants besides the default one whose knowledge a pod holds.",
            (Query("max by (pod) (kotaemon_tenants_open{NS})", "{{pod}}"),),
        ),
    ),
)

CLOSED = Dashboard(
    uid="kotaemon-closed",
    title="kotaemon: who is let in",
    meaning="Limits, the audit log, seals and tenants.",
    rows=(_LIMITS, _AUDIT),
)
