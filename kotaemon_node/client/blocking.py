"""The synchronous client: one method for each call; the logic stands in ``calls`` and ``turns``."""

from collections.abc import Iterator, Mapping
from os import PathLike
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from kotaemon_node.client import calls, values
from kotaemon_node.client.config import Config
from kotaemon_node.client.driving import Wire, options_of
from kotaemon_node.client.frames import Frame
from kotaemon_node.client.pieces import Piece, piece_of
from kotaemon_node.client.steps import Flow
from kotaemon_node.client.turns import Turn, body_of, new_turn_id
from kotaemon_node.client.uploading import content_of
from kotaemon_node.client.values import Answer, Session, id_of

T = TypeVar("T")


class MessageStream:
    """The frames of a turn as they come, whatever pod dies meanwhile; an iterator of ``Frame``.

    Leaving it early (``close``, or the end of ``with``) ends the reading, not the turn.
    """

    def __init__(self, turn: Turn, http: httpx2.Client) -> None:
        self._turn = turn
        self._http = http
        self._wire = Wire(http)
        self._frames = self._wire.frames(turn.frames())

    @property
    def session_id(self) -> str:
        """The session of the turn."""
        return self._turn.session_id

    @property
    def turn_id(self) -> str:
        """The id of the turn: who sends the message again under it gets the same answer."""
        return self._turn.turn_id

    @property
    def so_far(self) -> str:
        """The answer as far as it has come."""
        return self._turn.known.text

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        """Return the next frame; raises ``TurnFailed``, ``Gone``, ``Unreachable``…"""
        return next(self._frames)

    @property
    def text(self) -> Iterator[Piece]:
        """The pieces of the answer; put together they are the answer.

        One of ``offset`` 0 behind others begins the answer anew: drop what came before it.
        """
        return (piece for frame in self if (piece := piece_of(frame)) is not None)

    def answer(self) -> Answer:
        """Read to the end and return the answer; raises, also later, what ended the reading."""
        for _ in self:
            pass
        return Wire(self._http).run(self._turn.answer())

    def cancel(self) -> Answer:
        """End the turn; its last frame comes as ``Done`` of state ``cancelled``."""
        flow = calls.cancel(self._turn.config, self.session_id, self.turn_id)
        return Wire(self._http).run(flow)

    def close(self) -> None:
        """Read no more; the turn goes on."""
        self._wire.close()
        self._frames = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


class Client:
    """A client of a cluster. Thread safe; one serves a whole program.

    ``Client({"api_key": "…", "endpoint": "http://…", "timeout": 5000})``, or the same
    as keywords; all fields are those of ``Config``. ``with`` or ``close`` frees its connections.
    """

    def __init__(self, config: Mapping[str, Any] | None = None, /, **fields: Any) -> None:
        """``fields``: those of ``Config``, and ``transport``, one of httpx2, for tests."""
        transport = fields.pop("transport", None)
        self.config = Config.of(config, fields)
        self._http = httpx2.Client(**options_of(self.config), transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _run(self, flow: Flow[T]) -> T:
        return Wire(self._http).run(flow)

    def create_session(
        self,
        user_id: str | None = None,
        channel: str | None = None,
        context: Mapping[str, Any] | None = None,
        *,
        session_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Session:
        """Make a session. ``context={"history": [{"role": "user", "content": "…"}, …]}`` seeds it.

        ``idempotency_key``: the same one again finds the same session.
        """
        return self._run(
            calls.create_session(
                self.config,
                user_id=user_id,
                channel=channel,
                context=context,
                session_id=session_id,
                idempotency_key=idempotency_key,
            )
        )

    def send_message(
        self,
        session: str | Session,
        text: str,
        intent_filter: str | list[str] | None = None,
        turn_id: str | None = None,
        *,
        kb: str | None = None,
        min_generation: int | None = None,
        on_busy: str | None = None,
        epoch: str | None = None,
    ) -> Answer:
        """Say something and return the finished answer; raises ``TurnFailed`` and the like.

        ``on_busy``: ``enqueue`` (waits behind the turn that runs), ``reject`` or ``interrupt``.
        """
        stream = self.stream_message(
            session,
            text,
            intent_filter,
            turn_id,
            kb=kb,
            min_generation=min_generation,
            on_busy=on_busy,
            epoch=epoch,
        )
        return stream.answer()

    def stream_message(
        self,
        session: str | Session,
        text: str,
        intent_filter: str | list[str] | None = None,
        turn_id: str | None = None,
        *,
        kb: str | None = None,
        min_generation: int | None = None,
        on_busy: str | None = None,
        epoch: str | None = None,
    ) -> MessageStream:
        """Say something and return its frames as they come; nothing is sent before the first."""
        turn_id = turn_id or new_turn_id()
        body = body_of(
            text,
            turn_id=turn_id,
            intent_filter=intent_filter,
            kb=kb,
            min_generation=min_generation,
            on_busy=on_busy,
            epoch=epoch,
        )
        return MessageStream(Turn(self.config, id_of(session), turn_id, body), self._http)

    def follow_turn(self, session: str | Session, turn_id: str) -> MessageStream:
        """Return the frames of a turn that was begun elsewhere, from its first one on."""
        return MessageStream(Turn(self.config, id_of(session), turn_id, None), self._http)

    def turn(self, session: str | Session, turn_id: str) -> Answer:
        """Return a turn in whatever state it is."""
        return self._run(calls.turn(self.config, id_of(session), turn_id))

    def cancel(self, session: str | Session, turn_id: str) -> Answer:
        """End a turn; one that is finished stays as it is."""
        return self._run(calls.cancel(self.config, id_of(session), turn_id))

    def feedback(
        self, session: str | Session, turn_id: str, rating: str | int, comment: str = ""
    ) -> None:
        """Say whether an answer was good: ``up`` (or 1) or ``down`` (-1). The last word counts."""
        self._run(calls.feedback(self.config, id_of(session), turn_id, rating, comment))

    def sessions(self, offset: int = 0, limit: int = 50) -> values.SessionPage:
        """Return a page of the caller's sessions, newest first."""
        return self._run(calls.sessions(self.config, offset=offset, limit=limit))

    def session(
        self,
        session: str | Session,
        *,
        after_version: int = 0,
        limit: int | None = None,
        epoch: str | None = None,
    ) -> values.SessionHistory:
        """Return a session with its turns behind ``after_version``."""
        return self._run(
            calls.session(
                self.config, id_of(session), after_version=after_version, limit=limit, epoch=epoch
            )
        )

    def delete_session(self, session: str | Session) -> None:
        """Remove a session everywhere."""
        self._run(calls.delete_session(self.config, id_of(session)))

    def handoff(self, session: str | Session, reason: str = "") -> None:
        """Give a session to a person."""
        self._run(calls.handoff(self.config, id_of(session), reason))

    def handback(self, session: str | Session) -> None:
        """Give a session back to the bot."""
        self._run(calls.handback(self.config, id_of(session)))

    def ask(self, question: str, session: str | Session | None = None) -> Answer:
        """Ask one question, in a session's context where one is named.

        Awaited for a minute: a longer one comes back as ``running``, for ``turn`` to read. What
        may have arrived is not asked again: ``send_message`` outlives pods and long answers.
        """
        return self._run(calls.ask(self.config, question, id_of(session) if session else None))

    def search(
        self, question: str, *, kb: str = "default", top_k: int = 4, min_generation: int = 0
    ) -> values.Found:
        """Return the passages that fit a question best."""
        return self._run(
            calls.search(self.config, question, kb=kb, top_k=top_k, min_generation=min_generation)
        )

    def upload_document(
        self, content: str | bytes | PathLike[str], path: str | None = None, *, kb: str = "default"
    ) -> values.Upload:
        """Put a file into a knowledge base: a ``Path``, or text or bytes with ``path``."""
        name, data = content_of(content, path)
        return self._run(calls.upload(self.config, kb, name, data))

    def delete_document(
        self, document: str, *, kb: str = "default", purge: bool = False
    ) -> values.Job:
        """Remove a document; ``purge``: and every trace of it."""
        return self._run(calls.delete_document(self.config, kb, document, purge=purge))

    def job(self, job_id: str) -> values.Job:
        """Return a job as it stands."""
        return self._run(calls.job(self.config, job_id))

    def wait_for_job(self, job_id: str, timeout_s: float = 60.0) -> values.Job:
        """Return the job when it is done; raises ``JobFailed``, in the end ``TimeoutError``."""
        return self._run(calls.wait_for_job(self.config, job_id, timeout_s=timeout_s))
