"""The catalogue's rows of what conversations do: plugins, delayed jobs, handoffs."""

from typing import Final

from kotaemon_node.telemetry import buckets
from kotaemon_node.telemetry.metric_row import MetricRow

ACTING_CATALOGUE: Final = (
    MetricRow(
        "kotaemon_plugin_processes_ended_total",
        "counter",
        "Processes of plugins that ended in the middle of a call, by what ended them: died (by "
        "itself), time, computing, threads, output, services (asked for too much), nonsense (an "
        "answer that cannot be read), stopped.",
        ("plugin", "cause"),
    ),
    MetricRow(
        "kotaemon_plugin_loads_total",
        "counter",
        "Versions of plugins that this pod tried to start: loaded, or refused (the version before "
        "stays in use).",
        ("outcome",),
    ),
    MetricRow(
        "kotaemon_plugins_unloaded",
        "gauge",
        "Plugins of which this pod does not have the version that is wanted, because it does not "
        "start; /v1/plugins says why.",
    ),
    MetricRow(
        "kotaemon_plugin_breaker_open",
        "gauge",
        "1 while a plugin or tool is not asked, or tried by one pod, because it failed in a row; "
        "else 0.",
        ("plugin",),
    ),
    MetricRow(
        "kotaemon_plugin_skipped_total",
        "counter",
        "Calls that were not made because of that, by what was told in place of a result: stale "
        "(the last good one), or failed.",
        ("plugin", "told"),
    ),
    MetricRow(
        "kotaemon_plugin_call_seconds",
        "histogram",
        "One call of a plugin or tool that was sent, however it ended; repeats are calls of their "
        "own.",
        ("plugin",),
        buckets.CALL_S,
    ),
    MetricRow(
        "kotaemon_intents_total",
        "counter",
        "Messages with an intent, by who recognised it: rules, service, examples, model; or asked: "
        "the value that the answer before asked for.",
        ("by",),
    ),
    MetricRow(
        "kotaemon_proposals_total",
        "counter",
        "Actions that waited for a yes: asked; then confirmed, declined, dropped (the user said "
        "something else), expired, or changed (the plugin is another one, or gone).",
        ("outcome",),
    ),
    MetricRow(
        "kotaemon_handoffs_total",
        "counter",
        "Sessions handed to a person, by who wanted it: customer, agent (routes), words of a "
        "message, tool.",
        ("by",),
    ),
    MetricRow(
        "kotaemon_handed_off",
        "gauge",
        "Sessions of the whole cluster that a person has now.",
    ),
    MetricRow(
        "kotaemon_agent_messages_total",
        "counter",
        "Messages of people who have a session.",
    ),
    MetricRow(
        "kotaemon_later_jobs_total",
        "counter",
        "Delayed jobs that were carried out, by kind: done; again (it was not time yet); failed "
        "(tried again); dead (a dead letter now); lost (its end was not noted: it is repeated).",
        ("kind", "outcome"),
    ),
    MetricRow(
        "kotaemon_later_waiting",
        "gauge",
        "Delayed jobs of the whole cluster that have not ended, by kind.",
        ("kind",),
    ),
    MetricRow(
        "kotaemon_later_late_seconds",
        "gauge",
        "For how long the oldest delayed job that no pod has begun is due, by kind.",
        ("kind",),
    ),
    MetricRow(
        "kotaemon_later_dead",
        "gauge",
        "Dead letters of the whole cluster, by kind; /v1/dead-letters shows them.",
        ("kind",),
    ),
)
