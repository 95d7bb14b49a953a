"""Is the cluster healthy, what do people do with it, and what do they get?"""

from scripts.dashboards.answers import ANSWERS
from scripts.dashboards.model import Dashboard, Panel, Query, Row


def quantile(share: float, metric: str, *, of: str = "{NS}", by: str = "") -> str:
    """Return the query for a quantile of a histogram over all pods, or apart ``by`` a label."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{of}[R])))"


def quantiles(metric: str, *, of: str = "{NS}") -> tuple[Query, ...]:
    """Return the three that are looked at."""
    return tuple(
        Query(quantile(share, metric, of=of), name)
        for share, name in ((0.5, "half"), (0.95, "95 %"), (0.99, "99 %"))
    )


def share(part: str, whole: str) -> str:
    """Return one sum of rates over another; 0 where nothing happened."""
    return f"(sum(rate({part}[R])) / (sum(rate({whole}[R])) > 0)) or vector(0)"


_REQUESTS = 'haproxy_frontend_http_requests_total{NS,proxy="public"}'
_FAILED = 'haproxy_frontend_http_responses_total{NS,proxy="public",code="5xx"}'

_HEALTH = Row(
    "Is it healthy?",
    (
        Panel(
            "Pods ready",
            "Worker pods that can serve, of those that answer Prometheus.",
            (Query("sum(kotaemon_ready{NS})", "ready"), Query("count(kotaemon_ready{NS})", "all")),
            kind="stat",
            steps=((1, "green"),),
            low_is_bad=True,
            width=4,
            height=4,
        ),
        Panel(
            "Pods used by the balancer",
            "Pods that pass the balancer's check; of several balancers the lowest.",
            (Query('min(haproxy_backend_active_servers{NS,proxy="workers"})', "used"),),
            kind="stat",
            steps=((1, "green"),),
            low_is_bad=True,
            width=4,
            height=4,
        ),
        Panel(
            "Leading coordinators",
            "Exactly one leads; without one no document is taken up.",
            (Query("sum(kotaemon_coordinator_leader{NS})", "leaders"),),
            kind="stat",
            steps=((1, "green"), (2, "red")),
            low_is_bad=True,
            width=4,
            height=4,
        ),
        Panel(
            "Requests that fail",
            "Share of requests that clients get 5xx for, after the balancer's retries.",
            (Query(share(_FAILED, _REQUESTS), "5xx"),),
            unit="percentunit",
            kind="stat",
            steps=((0.01, "orange"), (0.05, "red")),
            width=4,
            height=4,
        ),
        Panel(
            "Turns that fail",
            "Share of turns that end in an error.",
            (
                Query(
                    share('kotaemon_turns_total{NS,outcome="failed"}', "kotaemon_turns_total{NS}"),
                    "failed",
                ),
            ),
            unit="percentunit",
            kind="stat",
            steps=((0.01, "orange"), (0.05, "red")),
            width=4,
            height=4,
        ),
        Panel(
            "Alerts",
            "Alerts of the product that fire now; docs/runbooks tells what to do.",
            (
                Query(
                    'count(ALERTS{NS,alertname=~"Kotaemon.*",alertstate="firing"}) or vector(0)',
                    "firing",
                ),
            ),
            kind="stat",
            steps=((1, "red"),),
            width=4,
            height=4,
        ),
    ),
)

_TRAFFIC = Row(
    "What people do",
    (
        Panel(
            "Requests",
            "At the balancer, by class of answer.",
            (
                Query(
                    "sum by (code) (rate("
                    'haproxy_frontend_http_responses_total{NS,proxy="public"}[R]))',
                    "{{code}}",
                ),
            ),
            unit="reqps",
            stacked=True,
        ),
        Panel(
            "Turns",
            "Questions answered, by how they ended.",
            (Query("sum by (outcome) (rate(kotaemon_turns_total{NS}[R]))", "{{outcome}}"),),
            unit="ops",
            stacked=True,
        ),
        Panel(
            "At the same time",
            "Turns under way, and streams open to clients, over all pods.",
            (
                Query("sum(kotaemon_turns_running{NS})", "turns"),
                Query("sum(kotaemon_streams_active{NS})", "streams"),
            ),
        ),
    ),
)

_LATENCY = Row(
    "How long they wait",
    (
        Panel(
            "First text",
            "A turn accepted until its first text is shown.",
            quantiles("kotaemon_first_text_seconds"),
            unit="s",
            steps=((5, "red"),),
        ),
        Panel(
            "Whole turns",
            "A turn accepted until it ended.",
            quantiles("kotaemon_turn_duration_seconds"),
            unit="s",
        ),
        Panel(
            "Retrieval",
            "One search, whole: encoding the question, both searches, fusing.",
            quantiles("kotaemon_retrieval_seconds"),
            unit="s",
        ),
        Panel(
            "Slowest routes",
            "Request read until its answer began: the 95 % of the five slowest routes.",
            (
                Query(
                    f"topk(5, {quantile(0.95, 'kotaemon_http_request_seconds', by='route')})",
                    "{{route}}",
                ),
            ),
            unit="s",
            width=12,
        ),
        Panel(
            "Language model",
            "What it adds to a turn, tools included, where there is one.",
            quantiles("kotaemon_llm_seconds"),
            unit="s",
            width=12,
        ),
    ),
)

_ERRORS = Row(
    "What goes wrong, and what becomes of it",
    (
        Panel(
            "Why turns fail",
            "By the code of the error, as docs/reference/errors.md lists them.",
            (Query("sum by (code) (rate(kotaemon_turns_failed_total{NS}[R]))", "{{code}}"),),
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Why requests are refused",
            "By the code of the error. behind and draining make the balancer try another pod.",
            (Query("sum by (code) (rate(kotaemon_error_answers_total{NS}[R]))", "{{code}}"),),
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Takeovers",
            "Turns that changed their pod: taken from a dead one or handed over by one that leaves."
            " Refused writes are the other side of a takeover from a slow pod.",
            (
                Query("sum(rate(kotaemon_takeovers_total{NS}[R]))", "taken over"),
                Query("sum(rate(kotaemon_handovers_total{NS}[R]))", "handed over"),
                Query("sum(rate(kotaemon_fenced_writes_total{NS}[R]))", "writes refused"),
            ),
            unit="ops",
        ),
        Panel(
            "Tokens",
            "Tokens of the language model.",
            (Query("sum by (kind) (rate(kotaemon_llm_tokens_total{NS}[R]))", "{{kind}}"),),
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Answers without the language model",
            "Turns answered from the passages alone, because it failed.",
            (
                Query("sum(rate(kotaemon_turns_degraded_total{NS}[R]))", "degraded"),
                Query("sum(rate(kotaemon_direct_answers_total{NS}[R]))", "without the store"),
            ),
            unit="ops",
        ),
        Panel(
            "Breakers",
            "1 while a language model, a plugin or a tool that failed in a row is asked by no pod.",
            (
                Query("max by (endpoint) (kotaemon_breaker_open{NS})", "{{endpoint}}"),
                Query("max by (plugin) (kotaemon_plugin_breaker_open{NS})", "{{plugin}}"),
            ),
        ),
        Panel(
            "Cost",
            "Of the tokens, a second, by the prices that are set.",
            (Query("sum(rate(kotaemon_llm_cost_total{NS}[R]))", "cost"),),
        ),
        Panel(
            "Citations",
            "Marks of the language model: kept, replaced or dropped when they were checked.",
            (
                Query(
                    "sum by (outcome) (rate(kotaemon_citation_marks_total{NS}[R]))", "{{outcome}}"
                ),
            ),
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Calls of tools",
            "By tool and outcome; nothing where no tool is configured.",
            (
                Query(
                    "sum by (plugin, outcome) (rate(kotaemon_plugin_calls_total{NS}[R]))",
                    "{{plugin}} {{outcome}}",
                ),
                Query(
                    "sum by (plugin, told) (rate(kotaemon_plugin_skipped_total{NS}[R]))",
                    "{{plugin}} skipped, {{told}}",
                ),
            ),
            unit="ops",
            stacked=True,
        ),
    ),
)

_VERSIONS = Row(
    "What runs",
    (
        Panel(
            "Versions",
            "Processes by program and version; two versions stand here only during an upgrade.",
            (Query("count by (component, version) (kotaemon_build_info{NS})"),),
            kind="table",
            width=12,
            height=6,
        ),
        Panel(
            "How full",
            "The fullest pod and the average: turns or streams as a share of the maximum."
            " Autoscaling aims at 60 %.",
            (
                Query("max(kotaemon_load_ratio{NS})", "fullest"),
                Query("avg(kotaemon_load_ratio{NS})", "average"),
            ),
            unit="percentunit",
            steps=((0.8, "red"),),
            width=12,
            height=6,
        ),
    ),
)

OVERVIEW = Dashboard(
    uid="kotaemon-overview",
    title="kotaemon: overview",
    meaning="Is the cluster healthy, what do people do with it, and what do they get?",
    rows=(_HEALTH, _TRAFFIC, _LATENCY, ANSWERS, _ERRORS, _VERSIONS),
)
