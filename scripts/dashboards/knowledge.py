"""From a changed document to every pod: builds, generations, recall."""

from scripts.dashboards.model import Dashboard, Panel, Query, Row
from scripts.dashboards.overview import quantiles

_SERVED = Row(
    "What is served",
    (
        Panel(
            "Generations",
            "Newest published, and what each pod serves. Lines that stay apart are a pod behind.",
            (
                Query("max by (kb) (kotaemon_coordinator_generation{KB})", "{{kb}} published"),
                Query("max by (kb, pod) (kotaemon_knowledge_generation{KB})", "{{kb}} {{pod}}"),
            ),
            width=12,
        ),
        Panel(
            "Behind",
            "Pods that another pod is ahead of, by knowledge base.",
            (Query("sum by (kb) (kotaemon_knowledge_behind{KB})", "{{kb}}"),),
            steps=((1, "orange"),),
            width=6,
        ),
        Panel(
            "Refused",
            "Pods that refuse the newest generation and serve the one before.",
            (Query("sum by (kb) (kotaemon_knowledge_refused{KB})", "{{kb}}"),),
            steps=((1, "red"),),
            width=6,
        ),
        Panel(
            "Why generations are refused",
            "Tries that ended in a refusal, by the kind of reason.",
            (
                Query(
                    "sum by (kb, reason) (rate(kotaemon_generation_refused_total{KB}[R]))",
                    "{{kb}} {{reason}}",
                ),
            ),
            unit="ops",
            width=12,
        ),
        Panel(
            "Coming to a newer generation",
            "Fetched, verified, opened, warmed and swapped, at a pod.",
            quantiles("kotaemon_generation_load_seconds"),
            unit="s",
            width=12,
        ),
    ),
)

_CONTENT = Row(
    "What it holds, and how well it is found",
    (
        Panel(
            "Documents",
            "Of the newest generation: indexed, failed (cannot be read) or waiting for the next.",
            (
                Query(
                    "max by (kb, status) (kotaemon_coordinator_documents{KB})", "{{kb}} {{status}}"
                ),
            ),
        ),
        Panel(
            "Passages",
            "Pieces of documents that can be found.",
            (Query("max by (kb) (kotaemon_coordinator_passages{KB})", "{{kb}}"),),
        ),
        Panel(
            "Segments",
            "Parts of the index; merges keep their number small.",
            (Query("max by (kb) (kotaemon_coordinator_segments{KB})", "{{kb}}"),),
        ),
        Panel(
            "Recall on the probes",
            "Share of the expected documents that were found, of the generation that is served;"
            " nothing where a knowledge base has no probes.",
            (
                Query('max by (kb) (kotaemon_probe_recall{KB,generation!="held"})', "{{kb}}"),
                Query('max by (kb) (kotaemon_probe_recall{KB,generation="held"})', "{{kb}} held"),
            ),
            unit="percentunit",
        ),
        Panel(
            "Held by the gate",
            "1 where a build is kept out, because it answers its probes worse.",
            (Query("max by (kb) (kotaemon_coordinator_held{KB})", "{{kb}}"),),
            steps=((1, "orange"),),
        ),
        Panel(
            "Searches",
            "How long one takes, whole.",
            quantiles("kotaemon_retrieval_seconds"),
            unit="s",
        ),
        Panel(
            "Agreement of the encoder",
            "Lowest cosine between a process's encoder and its full-precision model, tried at the"
            " start; below 0.98 it does not start.",
            (Query("min by (model) (kotaemon_encoder_agreement{NS})", "{{model}}"),),
            width=12,
        ),
        Panel(
            "Requests to the encoder",
            "Only with ENCODER_URL. Failed or skipped: these searches go by words alone.",
            (
                Query(
                    "sum by (outcome) (rate(kotaemon_encoder_requests_total{NS}[R]))",
                    "{{outcome}}",
                ),
            ),
            unit="ops",
            width=12,
        ),
    ),
)

_BUILD = Row(
    "Building",
    (
        Panel(
            "Leading",
            "1: this coordinator leads.",
            (Query("kotaemon_coordinator_leader{NS}", "{{pod}}"),),
            width=6,
        ),
        Panel(
            "Problems",
            "1: something keeps this coordinator from its work; its /readyz says what.",
            (Query("kotaemon_coordinator_problem{NS}", "{{pod}}"),),
            steps=((1, "red"),),
            width=6,
        ),
        Panel(
            "Ready",
            "1: nobody need wait for this coordinator.",
            (Query("kotaemon_coordinator_ready{NS}", "{{pod}}"),),
            width=6,
        ),
        Panel(
            "Silence of the loop",
            "Since the work loop's last sign of life; after 15 minutes the process is restarted.",
            (Query("kotaemon_coordinator_loop_silent_seconds{NS}", "{{pod}}"),),
            unit="s",
            steps=((600, "red"),),
            width=6,
        ),
        Panel(
            "Time of a build",
            "Making one generation: reading, encoding, storing.",
            quantiles("kotaemon_coordinator_build_seconds"),
            unit="s",
        ),
        Panel(
            "Documents read",
            "Files read an hour, by what came of it; refused ones stand as failed, with a reason.",
            (
                Query(
                    "sum by (outcome) "
                    "(increase(kotaemon_coordinator_documents_read_total{NS}[1h]))",
                    "{{outcome}}",
                ),
            ),
        ),
        Panel(
            "Trouble",
            "In an hour: steps that failed, readings given up, builds held, damage found.",
            (
                Query("sum(increase(kotaemon_coordinator_step_failures_total{NS}[1h]))", "steps"),
                Query(
                    "sum by (cause) "
                    "(increase(kotaemon_coordinator_readings_given_up_total{NS}[1h]))",
                    "reading: {{cause}}",
                ),
                Query(
                    "sum by (kb) (increase(kotaemon_generations_held_total{KB}[1h]))", "{{kb}} held"
                ),
                Query(
                    "sum by (kb) (increase(kotaemon_coordinator_damage_found_total{KB}[1h]))",
                    "{{kb}} damaged",
                ),
            ),
        ),
        Panel(
            "Orders",
            "Uploads, deletions, rollbacks and the like that ended, in an hour.",
            (
                Query(
                    "sum by (kind, outcome) (increase(kotaemon_coordinator_jobs_total{NS}[1h]))",
                    "{{kind}} {{outcome}}",
                ),
            ),
        ),
        Panel(
            "Build workers",
            "Documents offered to build workers in an hour, by what came of it.",
            (
                Query(
                    "sum by (outcome) (increase(kotaemon_coordinator_pieces_total{NS}[1h]))",
                    "{{outcome}}",
                ),
            ),
        ),
        Panel(
            "Paths left out",
            "Paths in the knowledge folder that belong to no knowledge base.",
            (Query("max(kotaemon_coordinator_ignored_paths{NS})", "paths"),),
        ),
        Panel(
            "Reranking",
            "Only with RERANK_MODEL; failed or skipped: passages stay as they were found.",
            (Query("sum by (outcome) (rate(kotaemon_reranks_total{NS}[R]))", "{{outcome}}"),),
            unit="ops",
            width=6,
        ),
        Panel(
            "Time of a reranking",
            "Only with RERANK_MODEL; at most about 2 s by a server, then it is given up.",
            quantiles("kotaemon_rerank_seconds"),
            unit="s",
            width=6,
        ),
        Panel(
            "Where neighbours come from",
            "Only with a vector store: all from there, some from files (partly), or all (files).",
            (
                Query(
                    "sum by (source) (rate(kotaemon_neighbour_searches_total{NS}[R]))", "{{source}}"
                ),
            ),
            unit="ops",
            width=6,
        ),
        Panel(
            "Spans of traces",
            "Of builds, sent to the collector; dropped or failed where it is slow or away.",
            (
                Query(
                    "sum by (outcome) (rate(kotaemon_coordinator_spans_total{NS}[R]))",
                    "{{outcome}}",
                ),
            ),
            unit="ops",
            width=6,
        ),
        Panel(
            "The coordinator's processes",
            "Cores in use; reading and encoding go on behind the pods.",
            (
                Query(
                    "rate(kotaemon_process_cpu_seconds_total{NS}[R])"
                    " and on (instance) kotaemon_coordinator_leader",
                    "{{pod}}",
                ),
            ),
            width=12,
        ),
    ),
)

KNOWLEDGE = Dashboard(
    uid="kotaemon-knowledge",
    title="kotaemon: knowledge",
    meaning="From a changed document to every pod: builds, generations, recall.",
    rows=(_SERVED, _CONTENT, _BUILD),
    variables=("namespace", "kb"),
)
