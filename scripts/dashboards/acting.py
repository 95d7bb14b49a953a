"""What conversations do: plugins and tools, what is done later, and people who take over."""

from scripts.dashboards.model import Dashboard, Panel, Query, Row

_PLUGINS = Row(
    "Plugins and tools",
    (
        Panel(
            "Calls",
            "By plugin or tool and outcome. Unknown: nobody could tell in time whether it took"
            " effect; it is found out later.",
            (
                Query(
                    "sum by (plugin, outcome) (rate(kotaemon_plugin_calls_total{NS}[R]))",
                    "{{plugin}} {{outcome}}",
                ),
            ),
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Time of a call",
            "95 % of the calls that were sent took less, however they ended.",
            (
                Query(
                    "histogram_quantile(0.95, sum by (plugin, le)"
                    " (rate(kotaemon_plugin_call_seconds_bucket{NS}[R])))",
                    "{{plugin}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Breakers",
            "1 while a plugin or tool that failed in a row is asked by no pod, but for one that"
            " tries it.",
            (Query("max by (plugin) (kotaemon_plugin_breaker_open{NS})", "{{plugin}}"),),
            steps=((1, "orange"),),
        ),
        Panel(
            "Skipped",
            "Calls that a breaker kept back: answered by the last good result (stale), or not.",
            (
                Query(
                    "sum by (plugin, told) (rate(kotaemon_plugin_skipped_total{NS}[R]))",
                    "{{plugin}} {{told}}",
                ),
            ),
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Processes that ended",
            "In an hour, by what ended them in the middle of a call; each is started anew.",
            (
                Query(
                    "sum by (plugin, cause)"
                    " (increase(kotaemon_plugin_processes_ended_total{NS}[1h]))",
                    "{{plugin}} {{cause}}",
                ),
            ),
            steps=((1, "orange"),),
        ),
        Panel(
            "Versions",
            "Versions that pods tried to start in an hour, and plugins whose wanted version a pod"
            " does not have.",
            (
                Query(
                    "sum by (outcome) (increase(kotaemon_plugin_loads_total{NS}[1h]))",
                    "{{outcome}}",
                ),
                Query("max by (pod) (kotaemon_plugins_unloaded{NS})", "missing at {{pod}}"),
            ),
        ),
    ),
)

_PEOPLE = Row(
    "People",
    (
        Panel(
            "Sessions that people have",
            "Handed off and not handed back; one in which nobody spoke for seven days counts no"
            " more.",
            (Query("max(kotaemon_handed_off{NS})", "sessions"),),
        ),
        Panel(
            "Handoffs",
            "In an hour, by who wanted a person: the customer or an agent by a route, the words of"
            " a message, or a tool.",
            (Query("sum by (by) (increase(kotaemon_handoffs_total{NS}[1h]))", "{{by}}"),),
            stacked=True,
        ),
        Panel(
            "Messages of people",
            "In an hour, what people said in the sessions that they have.",
            (Query("sum(increase(kotaemon_agent_messages_total{NS}[1h]))", "messages"),),
        ),
    ),
)

_LATER = Row(
    "Done later",
    (
        Panel(
            "Retry queue",
            "Delayed jobs that have not ended, by kind.",
            (Query("max by (kind) (kotaemon_later_waiting{NS})", "{{kind}}"),),
            width=12,
        ),
        Panel(
            "Dead letters",
            "Jobs that are not tried any more; GET /v1/dead-letters says why.",
            (Query("max by (kind) (kotaemon_later_dead{NS})", "{{kind}}"),),
            steps=((1, "orange"),),
            width=12,
        ),
    ),
)

ACTING = Dashboard(
    uid="kotaemon-acting",
    title="kotaemon: plugins and people",
    meaning="Plugins and tools, what is done later, and sessions that people have.",
    rows=(_PLUGINS, _PEOPLE, _LATER),
)
