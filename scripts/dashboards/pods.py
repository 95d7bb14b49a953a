"""One pod beside the other: how full, how quick, how late."""

from scripts.dashboards.model import Dashboard, Panel, Query, Row
from scripts.dashboards.overview import quantile

_STATE = Row(
    "State",
    (
        Panel(
            "Ready",
            "1: the pod can serve. /readyz says why it cannot.",
            (Query("kotaemon_ready{POD}", "{{pod}}"),),
        ),
        Panel(
            "Leaving",
            "1 while a pod leaves: it takes no new work and hands over what runs.",
            (Query("kotaemon_draining{POD}", "{{pod}}"),),
        ),
        Panel(
            "Starts",
            "Starts of a pod's process within the last hour, the first one not counted.",
            (
                Query(
                    "changes(max by (pod) (kotaemon_process_start_time_seconds{POD})[1h:1m])",
                    "{{pod}}",
                ),
            ),
            steps=((4, "red"),),
        ),
    ),
)

_LOAD = Row(
    "Load",
    (
        Panel(
            "How full",
            "Turns or streams, whichever is more, as a share of the pod's maximum."
            " Autoscaling aims at 60 % of it.",
            (Query("kotaemon_load_ratio{POD}", "{{pod}}"),),
            unit="percentunit",
            steps=((0.6, "orange"), (0.8, "red")),
        ),
        Panel(
            "Turns under way",
            "Turns that the pod executes.",
            (Query("kotaemon_turns_running{POD}", "{{pod}}"),),
        ),
        Panel(
            "Streams",
            "Clients that follow a turn or a session at this pod.",
            (Query("kotaemon_streams_active{POD}", "{{pod}}"),),
        ),
        Panel(
            "Maxima",
            "What a pod takes at most, before it answers 429.",
            (
                Query("max(kotaemon_turns_running_max{POD})", "turns"),
                Query("max(kotaemon_streams_max{POD})", "streams"),
            ),
            kind="stat",
        ),
        Panel(
            "Requests",
            "Answered by the pod, without health checks.",
            (
                Query(
                    "sum by (pod) (rate("
                    'kotaemon_http_requests_total{POD,route!~"/healthz|/readyz|/metrics|/balancer.*"}'
                    "[R]))",
                    "{{pod}}",
                ),
            ),
            unit="reqps",
        ),
        Panel(
            "First text, 95 %",
            "A turn accepted until its first text is shown.",
            (
                Query(
                    quantile(0.95, "kotaemon_first_text_seconds", of="{POD}", by="pod"), "{{pod}}"
                ),
            ),
            unit="s",
            steps=((5, "red"),),
        ),
    ),
)

_PROCESS = Row(
    "Process",
    (
        Panel(
            "Processor",
            "Cores in use. One process serves; native threads search and encode beside it.",
            (Query("rate(kotaemon_process_cpu_seconds_total{POD}[R])", "{{pod}}"),),
        ),
        Panel(
            "Memory",
            "Resident. Segments are mapped files: they count here, and the system may take them.",
            (Query("kotaemon_process_resident_memory_bytes{POD}", "{{pod}}"),),
            unit="bytes",
        ),
        Panel(
            "Open files",
            "As a share of the limit; each connection is one.",
            (Query("kotaemon_process_open_fds{POD} / kotaemon_process_max_fds{POD}", "{{pod}}"),),
            unit="percentunit",
            steps=((0.8, "red"),),
        ),
        Panel(
            "Lag of the loop, 99 %",
            "How much longer than asked a short wait took. Something computes on the loop, or the"
            " pod gets too little of a processor.",
            (Query(quantile(0.99, "kotaemon_loop_lag_seconds", of="{POD}", by="pod"), "{{pod}}"),),
            unit="s",
            steps=((0.25, "orange"), (1, "red")),
        ),
        Panel(
            "Gap between heartbeats, 99 %",
            "Due each 0.5 s; after 2 s without one the other pods take this pod's turns.",
            (
                Query(
                    quantile(0.99, "kotaemon_heartbeat_gap_seconds", of="{POD}", by="pod"),
                    "{{pod}}",
                ),
            ),
            unit="s",
            steps=((1.5, "red"),),
        ),
        Panel(
            "Spans of traces",
            "Sent to the collector; dropped or failed where it does not keep up or is away.",
            (Query("sum by (outcome) (rate(kotaemon_spans_total{POD}[R]))", "{{outcome}}"),),
            unit="ops",
        ),
    ),
)

_FRAMES = Row(
    "Frames and turns that move",
    (
        Panel(
            "Frames stored",
            "Pieces of answers that were stored and then shown.",
            (Query("rate(kotaemon_frames_stored_total{POD}[R])", "{{pod}}"),),
            unit="ops",
        ),
        Panel(
            "Delay of frames, 95 %",
            "A frame written until it is stored and shown. Texts wait up to 0.2 s for more, by"
            " design; what is above that is the store.",
            (
                Query(
                    quantile(0.95, "kotaemon_frame_delay_seconds", of="{POD}", by="pod"), "{{pod}}"
                ),
            ),
            unit="s",
            steps=((0.5, "red"),),
        ),
        Panel(
            "Batches sent again",
            "Frames that the store did not take at the first try.",
            (Query("rate(kotaemon_frame_batches_repeated_total{POD}[R])", "{{pod}}"),),
            unit="ops",
        ),
        Panel(
            "Turns taken over",
            "By the pod that goes on with them.",
            (Query("rate(kotaemon_takeovers_total{POD}[R])", "{{pod}}"),),
            unit="ops",
        ),
        Panel(
            "Turns handed over",
            "By the pod that leaves.",
            (Query("rate(kotaemon_handovers_total{POD}[R])", "{{pod}}"),),
            unit="ops",
        ),
        Panel(
            "Readers sent away",
            "Streams told to come back: the pod was leaving, or something failed.",
            (
                Query(
                    "sum by (pod, reason) (rate(kotaemon_reconnects_total{POD}[R]))",
                    "{{pod}} {{reason}}",
                ),
            ),
            unit="ops",
        ),
    ),
)

PODS = Dashboard(
    uid="kotaemon-pods",
    title="kotaemon: pods",
    meaning="One worker pod beside the other: how full, how quick, how late.",
    rows=(_STATE, _LOAD, _PROCESS, _FRAMES),
    variables=("namespace", "pod"),
)
