"""The Python client: sessions, messages and their streams, search and documents.

    from kotaemon_node.client import Client

    client = Client({"api_key": "…", "endpoint": "https://…", "timeout": 5000})
    session = client.create_session()
    for piece in client.stream_message(session.id, "How long may I return a lamp?").text:
        print(piece, end="", flush=True)

A pod that dies meanwhile is not noticed: the same turn goes on at another. The package needs httpx2
and nothing else of this project. docs/how-to/python-sdk.md
"""

from kotaemon_node.client.asynchronous import AsyncClient, AsyncMessageStream
from kotaemon_node.client.blocking import Client, MessageStream
from kotaemon_node.client.config import Config
from kotaemon_node.client.errors import (
    BadAnswer,
    Conflict,
    Gone,
    JobFailed,
    KotaemonError,
    Misfit,
    NotAllowed,
    NotFound,
    Overloaded,
    Refused,
    TurnFailed,
    Unfinished,
    Unreachable,
)
from kotaemon_node.client.frames import (
    Done,
    Frame,
    Handoff,
    Other,
    Restart,
    Snapshot,
    Sources,
    Status,
    Text,
    ToolCall,
)
from kotaemon_node.client.pieces import Piece
from kotaemon_node.client.values import (
    Answer,
    Found,
    Job,
    Passage,
    Session,
    SessionHistory,
    SessionPage,
    SessionRow,
    Upload,
)

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncMessageStream",
    "BadAnswer",
    "Client",
    "Config",
    "Conflict",
    "Done",
    "Found",
    "Frame",
    "Gone",
    "Handoff",
    "Job",
    "JobFailed",
    "KotaemonError",
    "MessageStream",
    "Misfit",
    "NotAllowed",
    "NotFound",
    "Other",
    "Overloaded",
    "Passage",
    "Piece",
    "Refused",
    "Restart",
    "Session",
    "SessionHistory",
    "SessionPage",
    "SessionRow",
    "Snapshot",
    "Sources",
    "Status",
    "Text",
    "ToolCall",
    "TurnFailed",
    "Unfinished",
    "Unreachable",
    "Upload",
]
