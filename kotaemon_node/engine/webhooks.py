"""Telling servers outside what happened: put into the queue at once, delivered from there.

Law 1: an event has a key, from which the ids of its message and its jobs follow. Told twice, by
    whichever pods, it is one message; delivered twice it has the same id.
Law 2: what is sent is what was put: a body does not change from one attempt to the next.
Law 3: who is no subscriber any more is told nothing more; what waits for it is a dead letter.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from kotaemon_node.domain.acting_limits import WEBHOOK_ATTEMPTS_MAX, WEBHOOK_TEXT_CHARS_MAX
from kotaemon_node.domain.errors import Overloaded, StoreFull, StoreUnavailable
from kotaemon_node.domain.session import Turn, TurnKey
from kotaemon_node.domain.webhooks import EventType, Subscriber, headers_of
from kotaemon_node.engine.counting import normal_question
from kotaemon_node.ports.cipher import FieldCipher, NoCipher
from kotaemon_node.ports.credentials import Lines
from kotaemon_node.ports.later import WEBHOOK, Hopeless, Later, LaterJob
from kotaemon_node.ports.webhooks import NotDelivered, WebhookSender

_log = structlog.get_logger(__name__)

_GONE: Final = 410
_TEXTS: Final = ("message", "answer", "question")


class Webhooks:
    """Notes events for those who want to be told. Thread safe."""

    def __init__(
        self,
        subscribers: Sequence[Subscriber],
        later: Later,
        *,
        drafts: bool = True,
        cipher: FieldCipher | None = None,
    ) -> None:
        """``drafts``: whether questions that were not answered become drafts of an FAQ.

        ``cipher`` makes ids: a key may be a question, and nobody is to guess it by its digest.
        """
        self._digest = (cipher or NoCipher()).digest
        self._subscribers = tuple(subscribers)
        self._drafts = drafts
        self._later = later

    def emit(
        self, event: EventType, *, tenant: str, key: str, at_s: float, data: Mapping[str, Any]
    ) -> None:
        """Have everybody told who wants to know; the same ``key`` again changes nothing.

        ``data`` (JSON) may hold ``message``, ``answer`` and ``question``, which only those get who
        want texts. Raises what ``Later.put`` raises; then it may be said again.
        """
        digest = self._digest(f"{event} {tenant} {key}".encode(), tenant).hex()[:32]
        for one in self._subscribers:
            if event not in one.events or tenant != one.tenant:
                continue
            told = {name: data[name] for name in data if one.texts or name not in _TEXTS}
            self._later.put(
                LaterJob(
                    id=f"webhook-{digest}-{one.name}",  # of a long one the queue takes a digest
                    kind=WEBHOOK,
                    tenant=tenant,
                    fields={
                        "to": one.name,
                        "message_id": f"msg_{digest}",
                        "body": {
                            "type": event,
                            "timestamp": _iso(at_s),
                            "data": _bounded(told),
                        },
                    },
                    attempts_max=WEBHOOK_ATTEMPTS_MAX,
                )
            )

    def turn(self, key: TurnKey, *, epoch: str, turn: Turn) -> bool:
        """Tell of a finished turn; False where that has to be tried again. Never raises."""
        if not self._subscribers:
            return True
        session = key.session
        name = f"{session.session_id} {epoch} {key.turn_id}"

        question = normal_question(turn.message)

        def told(event: EventType, data: Mapping[str, Any]) -> None:
            self.emit(event, tenant=session.tenant, key=name, at_s=turn.created_at, data=data)

        try:
            told("turn.completed", _of_turn(key, turn))
            if turn.event:
                data = {
                    "session_id": session.session_id,
                    "turn_id": key.turn_id,
                    "active": turn.event == "handoff",
                    "message": turn.message,
                }
                told("session.handoff", data)
            if self._drafts and turn.unanswered and turn.by_bot and question:
                self._draft(key, turn, question)
        except StoreUnavailable as error:
            # A store that is full takes nothing for a while: turns must not wait for it.
            return isinstance(error, StoreFull)
        except Overloaded as error:
            _log.error("webhook_dropped", reason=str(error))
        except Exception:  # noqa: BLE001 - a bug here must not keep back the turn's events
            _log.exception("webhook_not_put")
        return True

    def _draft(self, key: TurnKey, turn: Turn, question: str) -> None:
        session = key.session
        self.emit(
            "faq.draft",
            tenant=session.tenant,
            key=question,  # asked again within a day it is not told again
            at_s=turn.created_at,
            data={
                "session_id": session.session_id,
                "turn_id": key.turn_id,
                "question": question,
            },
        )


class WebhookDelivery:
    """Delivers what was noted: ``engine.later.Handler`` for ``WEBHOOK``."""

    def __init__(
        self,
        subscribers: Sequence[Subscriber],
        *,
        secrets: Mapping[str, Lines],
        sender: WebhookSender,
        now_s: Callable[[], float],
    ) -> None:
        """``secrets``: those of each subscriber, by its name."""
        self._subscribers = {one.name: one for one in subscribers}
        self._secrets = secrets
        self._sender = sender
        self._now_s = now_s

    def __call__(self, job: LaterJob) -> None:
        """See ``Handler``."""
        subscriber = self._subscribers.get(str(job.fields["to"]))
        if subscriber is None or subscriber.tenant != job.tenant:
            raise Hopeless("WEBHOOKS_FILE has no such webhook any more")
        secrets = self._secrets[subscriber.name].lines()
        if not secrets:
            raise NotDelivered("there is no secret to sign with")
        body = json.dumps(job.fields["body"], ensure_ascii=False, sort_keys=True).encode()
        headers = headers_of(
            body,
            message_id=str(job.fields["message_id"]),
            at_s=job.begun_at or self._now_s(),
            secrets=secrets,
        )
        status = self._sender.send(
            subscriber.url, body, headers=headers, private=subscriber.private
        )
        if status == _GONE:
            raise Hopeless("it answered 410: it wants no more")
        if not 200 <= status < 300:
            raise NotDelivered(f"it answered {status}")


def _of_turn(key: TurnKey, turn: Turn) -> dict[str, Any]:
    return {
        "session_id": key.session.session_id,
        "turn_id": key.turn_id,
        "version": turn.version,
        "state": turn.state.value,
        "created_at": turn.created_at,
        "timings": dict(turn.timings),
        "generation": dict(turn.generation),
        "degraded": turn.degraded,
        "unanswered": turn.unanswered,
        "faq": turn.faq,
        "cached": turn.cached,
        "origin": turn.origin,
        "ref": turn.ref,
        "trace_id": turn.trace_id,
        "error": dict(turn.error) if turn.error else None,
        "message": turn.message,
        "answer": turn.answer,
    }


def _bounded(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return it with texts shortened, and said to be."""
    cut = {
        name: value[:WEBHOOK_TEXT_CHARS_MAX]
        for name, value in data.items()
        if isinstance(value, str) and len(value) > WEBHOOK_TEXT_CHARS_MAX
    }
    return {**data, **cut, **({"shortened": sorted(cut)} if cut else {})}


def _iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
