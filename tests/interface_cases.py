"""Plays what ``/openapi.json`` allows and what it forbids, and lists where a pod disagrees with it.

Schemathesis makes the requests from the description alone; what is said here is what no schema can
say, each with its reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder

SEED = 20_260
# Besides the usual refusals: 413, what is too long; 426, plain HTTP at a route of WebSocket; 501, a
# part that is switched off (both said before anything else). 503 is looked at below.
_REFUSALS = ["400", "401", "403", "404", "405", "406", "409", "410", "413", "415", "422", "429"]
_REFUSALS += ["426", "501"]
# 404, 409, 410: ids are made up, and ids of turns and jobs were used before with something else.
_FITTING = ["2xx", "3xx", "401", "403", "404", "409", "410", "426", "429", "501", "503"]
_NO_SERVER_ERROR = ["2xx", "3xx", "4xx", "501", "503"]

_UNSAID = {
    "uploads_upload_documents": "which names and contents are documents",
    "plugins_push_plugin": "that a bundle is signed and an archive of a plugin",
    "openai_complete": "which fields of OpenAI's need which others",
    "openai_embed": "which dimensions a model has, and that an input is not empty",
    "analytics_read_analytics": "that two days are in order, and 35 at most",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement: of which operation, what the check says, what was asked and answered."""

    operation: str
    problem: str
    asked: str
    answered: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.problem}\n    {self.asked}\n    {self.answered}"


def config(
    *,
    examples: int,
    modes: Literal["negative", "all"] = "all",
    stateful: bool = False,
    key: str = "",
) -> SchemathesisConfig:
    """Return how to play: the same requests for the same description, nothing kept on disk.

    ``examples``: random requests for each operation, besides those that follow from its schema.
    """
    return SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "suppress-health-check": ["all"],
            "continue-on-failure": True,
            "request-timeout": 20,
            "headers": {"Authorization": f"Bearer {key}"} if key else {},
            "max-stream-events": 20,
            "generation": {
                "mode": modes,
                "max-examples": max(examples, 1),
                "no-shrink": True,
                "database": "none",
            },
            "phases": {
                "examples": {"enabled": False},
                # That no other method is taken is a test of its own, for less.
                "coverage": {"enabled": True, "unexpected-methods": []},
                "fuzzing": {"enabled": examples > 0},
                "stateful": {"enabled": stateful},
            },
            "checks": {
                "negative_data_rejection": {"expected-statuses": _REFUSALS},
                "positive_data_acceptance": {"expected-statuses": _FITTING},
                "not_a_server_error": {"expected-statuses": _NO_SERVER_ERROR},
            },
            "operations": [
                {
                    "include-operation-id": name,
                    "checks": {"positive_data_acceptance": {"enabled": False}},
                }
                for name in _UNSAID
            ],
        }
    )


def played(schema: schemathesis.schemas.BaseSchema) -> tuple[int, list[Finding]]:
    """Play all of it; return how many requests were made, and one finding of each kind."""
    cases = 0
    findings: dict[tuple[str, str], Finding] = {}
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            pytest.fail(f"{event}")
        if isinstance(event, events.ScenarioFinished):
            cases += len(event.recorder.cases)
            for finding in _findings(event.recorder):
                findings.setdefault((finding.operation, finding.problem[:60]), finding)
    return cases, list(findings.values())


def _findings(recorder: ScenarioRecorder) -> Iterator[Finding]:
    for name, node in recorder.cases.items():
        interaction = recorder.interactions.get(name)
        if interaction is None:
            continue
        problems = [
            f"{check.failure_info.failure.title}: {check.failure_info.failure.message}"
            for check in recorder.checks.get(name, ())
            if check.failure_info is not None
        ]
        answer: Any = interaction.response
        if answer is not None and answer.status_code == 503 and "`behind`" not in _code(answer):
            problems.append("it could not serve")
        for problem in problems:
            request = interaction.request
            yield Finding(
                operation=node.value.operation.label,
                problem=problem,
                asked=f"{request.method} {request.uri} {_body(request)}",
                answered=f"{answer.status_code} {answer.text[:300]}" if answer else "nothing",
            )


def _code(answer: Any) -> str:
    try:
        return f"`{answer.json()['error']['code']}`"
    except (ValueError, KeyError, TypeError):
        return ""


def _body(request: Any) -> str:
    return repr(request.body[:200]) if request.body else ""
