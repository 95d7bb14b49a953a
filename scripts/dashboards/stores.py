"""Redis and the bus as pods see them, and the balancer as it sees itself."""

from scripts.dashboards.model import Dashboard, Panel, Query, Row
from scripts.dashboards.overview import quantile, quantiles

_REDIS = Row(
    "Session store",
    (
        Panel(
            "Answers",
            "Scripts and reads a second, over all pods.",
            (
                Query(
                    "sum by (operation) (rate(kotaemon_store_seconds_count{NS}[R]))",
                    "{{operation}}",
                ),
            ),
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Time of an answer",
            "Of all operations. What the store confirms, and waiting for a connection, is part.",
            quantiles("kotaemon_store_seconds"),
            unit="s",
            steps=((0.5, "red"),),
        ),
        Panel(
            "Time by operation, 99 %",
            "claim accepts a turn, append stores frames, commit ends one.",
            (Query(quantile(0.99, "kotaemon_store_seconds", by="operation"), "{{operation}}"),),
            unit="s",
        ),
        Panel(
            "Refusals",
            "Requests and heartbeats that the store failed: full, unwritable, silent, or busy.",
            (Query("sum by (reason) (rate(kotaemon_store_refusals_total{NS}[R]))", "{{reason}}"),),
            unit="ops",
        ),
        Panel(
            "Writes not confirmed",
            "Not as durable in time as DURABILITY asks; told to nobody, and repeated.",
            (Query("sum(rate(kotaemon_unconfirmed_writes_total{NS}[R]))", "unconfirmed"),),
            unit="ops",
        ),
        Panel(
            "Delay of frames",
            "A frame written until stored and shown. Texts wait up to 0.2 s for more, by design.",
            quantiles("kotaemon_frame_delay_seconds"),
            unit="s",
        ),
    ),
)

_BUS = Row(
    "Bus",
    (
        Panel(
            "Events",
            "Sent and read by pods. Each pod reads each event.",
            (
                Query(
                    "sum by (topic, outcome) (rate(kotaemon_events_total{NS}[R]))",
                    "{{topic}} {{outcome}}",
                ),
            ),
            unit="ops",
        ),
        Panel(
            "Events that wait",
            "Committed turns whose events the bus did not take; the sweep sends them again.",
            (Query("max(kotaemon_events_unsent{NS})", "turns"),),
            steps=((1, "orange"),),
        ),
        Panel(
            "Lag, 95 %",
            "Stamped by the bus until read by a pod; RabbitMQ gives no such stamp.",
            (Query(quantile(0.95, "kotaemon_event_delay_seconds", by="topic"), "{{topic}}"),),
            unit="s",
        ),
    ),
)

_BALANCER = Row(
    "Balancer",
    (
        Panel(
            "Pods in use",
            "Pods that pass the balancer's check. Slots without a pod do not count.",
            (Query('haproxy_backend_active_servers{NS,proxy="workers"}', "{{pod}}"),),
            steps=((1, "green"),),
            low_is_bad=True,
        ),
        Panel(
            "State of each slot",
            "1: the server is up for this balancer.",
            (
                Query(
                    'sum by (server) (haproxy_server_status{NS,proxy="workers",state="UP"})',
                    "{{server}}",
                ),
            ),
        ),
        Panel(
            "Tried again",
            "Connections tried again at the same pod (retries) or another one (redispatches).",
            (
                Query(
                    'sum(rate(haproxy_backend_retry_warnings_total{NS,proxy="workers"}[R]))',
                    "retries",
                ),
                Query(
                    'sum(rate(haproxy_backend_redispatch_warnings_total{NS,proxy="workers"}[R]))',
                    "redispatches",
                ),
            ),
            unit="ops",
        ),
        Panel(
            "Failures",
            "Connections that failed, responses that broke, requests refused as wrong.",
            (
                Query(
                    'sum(rate(haproxy_backend_connection_errors_total{NS,proxy="workers"}[R]))',
                    "connections",
                ),
                Query(
                    'sum(rate(haproxy_backend_response_errors_total{NS,proxy="workers"}[R]))',
                    "responses",
                ),
                Query(
                    'sum(rate(haproxy_frontend_request_errors_total{NS,proxy="public"}[R]))',
                    "requests",
                ),
            ),
            unit="ops",
        ),
        Panel(
            "Checks that failed",
            "By slot; a slot without a pod fails all its checks.",
            (
                Query(
                    "sum by (server) "
                    '(rate(haproxy_server_check_failures_total{NS,proxy="workers"}[R]))',
                    "{{server}}",
                ),
            ),
            unit="ops",
        ),
        Panel(
            "Queue",
            "Requests that wait for a pod.",
            (Query('sum(haproxy_backend_current_queue{NS,proxy="workers"})', "waiting"),),
            steps=((1, "orange"),),
        ),
        Panel(
            "Connections",
            "Of clients now, and how many a balancer takes at most.",
            (
                Query(
                    'sum by (pod) (haproxy_frontend_current_sessions{NS,proxy="public"})', "{{pod}}"
                ),
                Query("min(haproxy_process_max_connections{NS})", "maximum of one"),
            ),
        ),
        Panel(
            "Answers by pod",
            "Requests answered by each server.",
            (
                Query(
                    "sum by (server) "
                    '(rate(haproxy_server_http_responses_total{NS,proxy="workers"}[R]))',
                    "{{server}}",
                ),
            ),
            unit="reqps",
            stacked=True,
        ),
        Panel(
            "Bytes",
            "To and from clients.",
            (
                Query('sum(rate(haproxy_frontend_bytes_out_total{NS,proxy="public"}[R]))', "out"),
                Query('sum(rate(haproxy_frontend_bytes_in_total{NS,proxy="public"}[R]))', "in"),
            ),
            unit="Bps",
        ),
    ),
)

STORES = Dashboard(
    uid="kotaemon-stores",
    title="kotaemon: stores, bus and balancer",
    meaning="Redis and the bus as pods see them, and the balancer as it sees itself.",
    rows=(_REDIS, _BUS, _BALANCER),
)
