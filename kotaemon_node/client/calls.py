"""Each call of the interface as a flow: what is asked, what is read from the answer.

They may be sent twice: they read, or say what holds afterwards, or carry an id. ``ask`` does
none of that and is sent again only where it cannot have arrived.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from kotaemon_node.client import values
from kotaemon_node.client.config import ASK_S, CALL_S, Config
from kotaemon_node.client.errors import (
    RETRIED,
    BadAnswer,
    JobFailed,
    KotaemonError,
    Unreachable,
    error_of,
)
from kotaemon_node.client.steps import Broken, Flow, Reply, Request, Send, Sleep

T = TypeVar("T")
JOB_LOOK_S = 0.5
TRACE_HEADER = "x-trace-id"


def asking(
    config: Config, request: Request, read: Callable[[Any], T], *, whom: str = ""
) -> Flow[T]:
    """Send ``request``, perhaps again, and return what ``read`` makes of its JSON.

    ``whom``: how errors name who was asked, where its address is not to be told.
    """
    tries, began_s, unsure = 0, config.clock(), False
    while True:
        reply = yield Send(request)
        status = reply.status if isinstance(reply, Reply) else 0
        if isinstance(reply, Reply) and status < 400:
            return _read(reply, read)
        if status == 404 and unsure and request.removes:
            return read(None)
        problem = problem_of(reply, whom or config.endpoint)
        if (status and status not in RETRIED) or tries >= config.retries:
            raise problem
        if request.once and _may_have_arrived(reply):
            problem.retryable = problem.retryable and bool(status)
            raise problem
        tries += 1
        unsure = unsure or status == 503 or _may_have_arrived(reply)
        pause_s = config.pause_s(tries, said_pause_s(reply))
        if config.clock() - began_s + pause_s > CALL_S:
            raise problem
        yield Sleep(pause_s)


def _may_have_arrived(reply: Reply | Broken) -> bool:
    """Return whether a pod may have begun what a try that failed asked for."""
    return reply.sent if isinstance(reply, Broken) else reply.status not in {429, 503}


def problem_of(reply: Reply | Broken, endpoint: str) -> KotaemonError:
    """Return the exception for what is no success."""
    if isinstance(reply, Broken):
        return Unreachable(
            f"{endpoint} does not answer: {reply.reason}", code="unreachable", retryable=True
        )
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        body = None
    problem = error_of(reply.status, body, trace_id=reply.headers.get(TRACE_HEADER, ""))
    problem.retry_after_s = said_pause_s(reply)
    return problem


def said_pause_s(reply: Reply | Broken) -> float | None:
    """Return for how many seconds the server wants to be left alone; None: it does not say."""
    text = reply.headers.get("retry-after", "") if isinstance(reply, Reply) else ""
    if not (text.isascii() and text.isdigit()):
        return None  # a date is no form that the cluster uses
    return float(text)


def _read(reply: Reply, read: Callable[[Any], T]) -> T:
    trace_id = reply.headers.get(TRACE_HEADER, "")
    try:
        return read(json.loads(reply.body) if reply.body else None)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise BadAnswer(
            f"the answer cannot be read: {error!r}", code="bad_answer", trace_id=trace_id,
            status=reply.status,
        ) from error  # fmt: skip


def session_path(session_id: str) -> str:
    return f"/v1/sessions/{quote(session_id, safe='')}"


def turn_path(session_id: str, turn_id: str) -> str:
    return f"{session_path(session_id)}/turns/{quote(turn_id, safe='')}"


def _said(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def create_session(
    config: Config,
    *,
    user_id: str | None,
    channel: str | None,
    context: Mapping[str, Any] | None,
    session_id: str | None,
    idempotency_key: str | None,
) -> Flow[values.Session]:
    """A session; tries that are repeated make one."""
    body = _said(user_id=user_id, channel=channel, context=context, session_id=session_id)
    headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}
    request = Request("POST", "/v1/sessions", json=body, headers=headers)
    return asking(config, request, values.session_made)


def sessions(config: Config, *, offset: int, limit: int) -> Flow[values.SessionPage]:
    query = {"offset": str(offset), "limit": str(limit)}
    return asking(config, Request("GET", "/v1/sessions", query=query), values.session_page)


def session(
    config: Config, session_id: str, *, after_version: int, limit: int | None, epoch: str | None
) -> Flow[values.SessionHistory]:
    query = {
        k: str(v) for k, v in _said(after_version=after_version, limit=limit, epoch=epoch).items()
    }
    return asking(config, Request("GET", session_path(session_id), query=query), values.history)


def delete_session(config: Config, session_id: str) -> Flow[None]:
    request = Request("DELETE", session_path(session_id), removes=True)
    return asking(config, request, lambda _: None)


def turn(config: Config, session_id: str, turn_id: str) -> Flow[values.Answer]:
    request = Request("GET", turn_path(session_id, turn_id))
    return asking(config, request, lambda raw: values.turn_answer(raw, session_id))


def cancel(config: Config, session_id: str, turn_id: str) -> Flow[values.Answer]:
    request = Request("POST", f"{turn_path(session_id, turn_id)}/cancel", json={})
    return asking(config, request, lambda raw: values.turn_answer(raw, session_id))


def feedback(
    config: Config, session_id: str, turn_id: str, rating: str | int, comment: str
) -> Flow[None]:
    body = {"rating": rating, "comment": comment}
    request = Request("POST", f"{turn_path(session_id, turn_id)}/feedback", json=body)
    return asking(config, request, lambda _: None)


def handoff(config: Config, session_id: str, reason: str) -> Flow[None]:
    body = {"reason": reason}
    request = Request("POST", f"{session_path(session_id)}/handoff", json=body)
    return asking(config, request, lambda _: None)


def handback(config: Config, session_id: str) -> Flow[None]:
    request = Request("POST", f"{session_path(session_id)}/handback", json={})
    return asking(config, request, lambda _: None)


def ask(config: Config, question: str, session_id: str | None) -> Flow[values.Answer]:
    """An answer. A question names no turn: each one that arrives is a turn of its own."""
    query = _said(q=question, session_id=session_id)
    request = Request("GET", "/ask", query=query, wait_s=ASK_S, once=True)
    return asking(config, request, lambda raw: values.turn_answer(raw, session_id or ""))


def search(
    config: Config, question: str, *, kb: str, top_k: int, min_generation: int
) -> Flow[values.Found]:
    query = {"q": question, "kb": kb, "top_k": str(top_k), "min_generation": str(min_generation)}
    return asking(config, Request("GET", "/v1/search", query=query), values.found)


def upload(config: Config, kb: str, path: str, content: bytes) -> Flow[values.Upload]:
    """A file as a document; the job's id makes a repeat harmless."""
    request = Request(
        "POST",
        f"/v1/knowledge/{quote(kb, safe='')}/documents",
        query={"job": secrets.token_hex(16)},
        file=(path, content),
    )
    return asking(config, request, values.upload)


def delete_document(config: Config, kb: str, document: str, *, purge: bool) -> Flow[values.Job]:
    query = {"job": secrets.token_hex(16), "purge": "true" if purge else "false"}
    path = f"/v1/knowledge/{quote(kb, safe='')}/documents/{quote(document)}"
    return asking(config, Request("DELETE", path, query=query), values.job)


def job(config: Config, job_id: str) -> Flow[values.Job]:
    return asking(config, Request("GET", f"/v1/jobs/{quote(job_id, safe='')}"), values.job)


def wait_for_job(config: Config, job_id: str, *, timeout_s: float) -> Flow[values.Job]:
    """Look until the job is over; raises ``JobFailed``, ``TimeoutError`` after ``timeout_s``."""
    waited_s = 0.0
    while True:
        now = yield from job(config, job_id)
        if now.state == "failed":
            raise JobFailed(now.reason or "it failed", code="job_failed")
        if now.over:
            return now
        if waited_s >= timeout_s:
            raise TimeoutError(f"job {job_id} is {now.state} after {timeout_s:g} s")
        yield Sleep(JOB_LOOK_S)
        waited_s += JOB_LOOK_S
