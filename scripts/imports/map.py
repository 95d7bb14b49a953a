"""Where each package stands in the picture: rows from the programs down to the values.

A package stands above all that it imports. Columns keep together what is read together: a program
of somebody's own on the left, a worker pod in the middle, what operators start on the right.
"""

from typing import Final, NamedTuple


class Place(NamedTuple):
    """A package on its row."""

    name: str
    column: float
    says: str


ROWS: Final[tuple[tuple[str, tuple[Place, ...]], ...]] = (
    (
        "programs",
        (
            Place("conversation", 0, "a talk in your program"),
            Place("load", 2.9, "loads, faults, measures"),
        ),
    ),
    (
        "",
        (
            Place("rag", 0, "answers, set up by a file"),
            Place("server", 1.6, "gunicorn: a worker"),
            Place("coordinator", 3.1, "documents to generations"),
            Place("cli", 4.6, "the command kotaemon"),
        ),
    ),
    (
        "",
        (
            Place("library", 0, "a pod's parts in a program"),
            Place("bootstrap", 1.6, "a pod, whole"),
        ),
    ),
    (
        "",
        (
            Place("evaluation", 0, "experiments"),
            Place("running", 1.6, "a pod's tasks and its end"),
            Place("chaos", 4, "disturbs a cluster"),
            Place("backup", 5.05, "copies elsewhere"),
        ),
    ),
    (
        "composition",
        (
            Place("composition", 2.3, "which adapter, by settings"),
            Place("local", 4.6, "a cluster on one machine"),
        ),
    ),
    (
        "edges",
        (
            Place("tools", 0, "functions as tools"),
            Place("api", 1.25, "HTTP, SSE, WebSocket"),
            Place("listeners", 2.5, "events of the bus"),
            Place("adapters", 3.75, "Redis, Kafka, FAISS, models"),
            Place("settings", 5.05, "the environment"),
        ),
    ),
    (
        "core: no I/O",
        (
            Place("engine", 0.9, "turns"),
            Place("retrieval", 2.1, "search"),
            Place("audit_log", 3.3, "who did what"),
            Place("proof", 5.05, "judges what clients saw"),
        ),
    ),
    (
        "beside it",
        (
            Place("telemetry", 0.9, "metrics, logs, traces"),
            Place("described", 2.5, "files of operators"),
            Place("bearer", 3.7, "keys of servers"),
            Place("rpc", 5.05, "gRPC, a client of HTTP"),
        ),
    ),
    (
        "contracts",
        (Place("ports", 2.3, "asked of the world"),),
    ),
    (
        "values",
        (
            Place("plugins", 0, "what a plugin is made of"),
            Place("domain", 2.3, "values and rules"),
            Place("client", 5.05, "the Python client"),
        ),
    ),
)
