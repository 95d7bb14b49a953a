"""The coordinator's HTTP side: is it alive, is it ready, what does it count."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from flask import Flask, Response, jsonify

from coordinator.artifacts import ArtifactService, artifact_routes
from coordinator.metrics import CoordinatorMetrics
from coordinator.status import Status, StatusBoard
from kotaemon_node.domain import limits
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.telemetry.metrics import METRICS_MEDIA_TYPE

# The largest document takes a parser minutes, during which the loop gives no sign.
LOOP_SILENT_MAX_S = 900.0


def create_app(
    *,
    board: StatusBoard,
    metrics: CoordinatorMetrics,
    clock: Clock,
    artifacts: ArtifactService | None = None,
) -> Flask:
    """Return the application. Its routes never wait for the work; ``artifacts`` adds those."""
    app = Flask("coordinator")
    if artifacts is not None:
        app.register_blueprint(artifact_routes(artifacts))

    @app.get("/healthz")
    def healthz() -> tuple[Response, int]:
        silent_s = clock.monotonic_s() - board.beat_s
        alive = silent_s < LOOP_SILENT_MAX_S
        return jsonify({"alive": alive, "silent_s": round(silent_s, 1)}), 200 if alive else 503

    @app.get("/readyz")
    def readyz() -> tuple[Response, int]:
        status = board.current
        shown = {**_shown(status), **_tenants(board.tenants)}
        return jsonify(shown), 200 if status.ready else 503

    @app.get("/metrics")
    def exposition() -> Response:
        metrics.loop_silent(clock.monotonic_s() - board.beat_s)
        return Response(metrics.exposition(), content_type=METRICS_MEDIA_TYPE)

    return app


def _shown(status: Status) -> dict[str, Any]:
    return {
        "ready": status.ready,
        "role": status.role,
        "problem": status.problem or (None if status.ready else "reading the knowledge folder"),
        **_kept(status),
    }


def _tenants(boards: Mapping[str, StatusBoard]) -> dict[str, Any]:
    """Show the tenants besides ``default``: those in trouble first, for not all can be shown."""
    current = sorted((not board.current.problem, name) for name, board in boards.items())
    shown = [name for _, name in current[: limits.TENANTS_SHOWN_MAX]]
    return {
        "tenants": {
            name: {"problem": boards[name].current.problem, **_kept(boards[name].current)}
            for name in shown
        },
        "tenants_total": len(boards),
    }


def _kept(status: Status) -> dict[str, Any]:
    shown = islice(status.ignored.items(), limits.IGNORED_PATHS_SHOWN_MAX)
    return {
        "knowledge": {
            kb: {
                "generation": known.generation,
                "documents": {
                    "indexed": known.indexed,
                    "failed": known.failed,
                    "waiting": known.waiting,
                },
                "passages": known.passages,
                "segments": known.segments,
                "recall": known.recall,
                "rolled_back_to": known.rolled_back_to,
                "refused": known.refused,
                "held": known.held,
            }
            for kb, known in status.knowledge.items()
        },
        "ignored": [{"path": path, "reason": reason} for path, reason in shown],
        "ignored_total": len(status.ignored),
    }
