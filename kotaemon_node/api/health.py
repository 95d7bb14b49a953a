"""Health: is the process alive, can it serve, may the balancer send it work, what did it count."""

from collections.abc import Mapping
from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.context import services, trace_id
from kotaemon_node.api.errors import ErrorBody
from kotaemon_node.api.forms import Alive, Readiness
from kotaemon_node.api.showing import unready
from kotaemon_node.domain.errors import NotFound, Unavailable
from kotaemon_node.telemetry.metrics import METRICS_MEDIA_TYPE

routes: Final = Blueprint("health", __name__)


@routes.get("/healthz")
def healthz() -> Response:
    """Say that the loop turns; never asks anybody else, or a lost store would restart the pods."""
    return json_answer(Alive("ok"))


@routes.get("/readyz")
def readyz() -> Response:
    """Say whether this pod can serve, with the reasons where it cannot."""
    readiness = _readiness()
    if readiness.ready:
        return json_answer(readiness)
    told = "; ".join(readiness.reasons)
    error = ErrorBody(Unavailable.code, told, retryable=True, trace_id=trace_id())
    answer = json_answer(unready(readiness, error), status=503)
    answer.headers["Retry-After"] = "1"
    return answer


@routes.get("/balancer/<cluster_id>")
def balancer(cluster_id: str) -> Response:
    """Answer the balancer: 200 serves, 404 takes no new work but keeps its streams, 503 is down.

    The cluster's id is in the path, so that a stranger who got our port is never sent our work.
    """
    readiness = _readiness()
    if cluster_id != services().cluster_id:
        raise NotFound("this pod belongs to another cluster")
    if readiness.draining:
        raise NotFound("this pod is leaving")
    if not readiness.ready:
        raise Unavailable("; ".join(readiness.reasons))
    return json_answer(Alive("ready"))


@routes.get("/metrics")
def metrics() -> Response:
    """Show what this pod has counted, in Prometheus's text format."""
    readiness = _readiness()
    counted = services().metrics
    counted.ready(readiness.ready)
    counted.knowledge.generations(readiness.generations)
    counted.knowledge.refused(readiness.refused, served=readiness.generations)
    counted.knowledge.behind(readiness.behind, served=readiness.generations)
    counted.draining(readiness.draining)
    counted.turns_running(services().turns.running)
    answer = Response(counted.exposition(), content_type=METRICS_MEDIA_TYPE)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _readiness() -> Readiness:
    state = services().pod
    reasons = list(state.unready_reasons())
    if state.draining and not reasons:
        reasons = ["draining"]
    served = services().knowledge.served()
    report = state.report()
    refused, behind = report.get("refused"), report.get("behind")
    return Readiness(
        ready=not reasons,
        reasons=reasons,
        name=state.name,
        incarnation=state.incarnation,
        draining=state.draining,
        generations={kb: ref.generation for kb, ref in served.items()},
        refused=refused if isinstance(refused, Mapping) else {},
        behind=behind if isinstance(behind, Mapping) else {},
        store=bool(report.get("store")),
        vector_store=str(report.get("vector_store", "")),
    )
