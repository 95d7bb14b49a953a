"""What the start of a process loads: what only some settings use stays out of it.

Each start loads everything on one processor, and a pod that was killed is missed for so long.
"""

import subprocess
import sys
from typing import Final

import pytest

# With the settings that bring each in.
_ELSEWHERE: Final = (
    "kafka",  # KAFKA_BOOTSTRAP_SERVERS
    "amqp",  # RABBITMQ_URL
    "boto3",  # ARTIFACT_URL=s3://…
    "torch",  # ENCODER_BACKEND=torch
    "sentence_transformers",
    "grpc",  # GRPC_PORT
    "opentelemetry.exporter",  # OTEL_EXPORTER_OTLP_ENDPOINT
)
_PARSERS: Final = ("pypdfium2", "lxml", "bs4", "markdown_it")  # the coordinator reads documents


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        ("kotaemon_node.bootstrap", _ELSEWHERE + _PARSERS),
        ("coordinator.main", _ELSEWHERE),
    ],
)
def test_what_only_some_settings_use_is_not_loaded(program: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {program}; print(*(set({absent!r}) & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == []
