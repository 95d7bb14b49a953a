"""No secret of a setting is seen in logs, metrics, answers, errors or lists of processes."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
import redis
import requests

from coordinator.settings import CoordinatorSettings
from tests.redis_server import RedisServer, free_port
from tests.scripted_pods import ScriptedPod, until

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
NO_SECRET = {"ENCRYPTION_PLAIN", "LIMIT_TOKENS_PER_MINUTE", "LLM_TURN_TOKENS", "TRUSTED_KEYS"}


def secret_settings() -> list[str]:
    """Return every setting whose value is a secret, by its name."""
    pattern = re.compile(r"(PASSWORD|TOKEN|API_KEY|_KEY|SECRET|HEADERS)$")
    return sorted(
        name
        for field, told in CoordinatorSettings.model_fields.items()
        if pattern.search(name := field.upper())
        and told.annotation is str
        and name not in NO_SECRET
    )


def canary(name: str) -> str:
    return f"canary-{name.lower().replace('_', '-')}-" + "x" * 32


@pytest.fixture
def environment() -> dict[str, str]:
    found = {name: canary(name) for name in secret_settings()}
    found["OTEL_EXPORTER_OTLP_HEADERS"] = f"authorization={canary('otel')}"
    found["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{free_port()}"
    found |= {"AWS_ACCESS_KEY_ID": "known", "AWS_SECRET_ACCESS_KEY": canary("aws")}
    found |= {
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_USERNAME": "kn",
        "LLM_BASE_URL": f"http://127.0.0.1:{free_port()}/v1",
    }
    return found


def seen(told: str) -> list[str]:
    """Return the canaries in a text."""
    return sorted(set(re.findall(r"canary-[a-z0-9-]+?-x", told)))


def arguments_of(pid: int) -> str:
    """Return what `ps` shows of a process and of all below it."""
    found = psutil.Process(pid)
    lines = [" ".join(one.cmdline()) for one in (found, *found.children(recursive=True))]
    return "\n".join(lines)


def test_there_are_secrets_to_look_for() -> None:
    assert {"KAFKA_PASSWORD", "LLM_API_KEY", "ADMIN_KEY", "ARTIFACT_TOKEN"} <= set(
        secret_settings()
    )


def test_a_pod_shows_none_whatever_goes_wrong(tmp_path: Path, environment: dict[str, str]) -> None:
    server = RedisServer(options=("--appendonly", "no"))
    server.start()
    redis.Redis(port=server.port).config_set("requirepass", canary("redis"))
    url = f"redis://:{canary('redis')}@127.0.0.1:{server.port}/0"
    settings = {**environment, "AUTH_MODE": "keys", "LOG_LEVEL": "debug"}
    told: list[str] = []
    try:
        with ScriptedPod(tmp_path, url, settings=settings) as pod:
            told.append(arguments_of(pod.pid))
            admin = {"X-API-Key": canary("ADMIN_KEY")}

            def ask(method: str, path: str, **how: object) -> None:
                answer = requests.request(method, pod.url + path, timeout=30, **how)  # type: ignore[arg-type]
                told.append(f"{answer.headers} {answer.text}")

            def everything() -> None:
                for path in ("/metrics", "/readyz", "/healthz", "/v1/cluster", "/v1/me"):
                    ask("GET", path)
                    ask("GET", path, headers=admin)
                ask("GET", "/v1/me", headers={"X-API-Key": canary("of-a-client")})
                ask("POST", "/v1/sessions", data=b"{", headers=admin)
                session = {"session_id": "s"}
                ask("POST", "/chat", json={"message": '{"pieces": 1}', **session}, headers=admin)
                ask("GET", "/v1/models", headers=admin)

            everything()
            server.kill()
            everything()
            # A crash: whatever the process still writes is in its log.
            os.kill(pod.pid, signal.SIGABRT)
            pod.wait_ended()
    finally:
        server.remove()
    told.append((tmp_path / "p0.log").read_text(errors="replace"))

    assert len(told[-1]) > 500
    assert seen("\n".join(told)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"LOG_LEVEL": "loud"},
        {"REDIS_URL": f"redis+cluster://:{canary('redis')}@"},
        {"KAFKA_BOOTSTRAP_SERVERS": "nowhere", "KAFKA_USERNAME": ""},
        {"RABBITMQ_URL": f"amqp://kn:{canary('rabbit')}@h/a/b", "KAFKA_BOOTSTRAP_SERVERS": ""},
        {"OTEL_EXPORTER_OTLP_HEADERS": canary("otel")},
        {"ARTIFACT_URL": f"http://user:{canary('url')}@host/artifacts"},
    ],
    ids=lambda wrong: next(iter(wrong), "stores away"),
)
def test_a_coordinator_that_cannot_start_or_work_shows_none(
    tmp_path: Path, environment: dict[str, str], wrong: dict[str, str]
) -> None:
    settings = {
        **environment,
        "REDIS_URL": f"redis://:{canary('redis')}@127.0.0.1:{free_port()}/0",
        "ARTIFACT_URL": f"file://{tmp_path}/artifacts",
        "KNOWLEDGE_DIR": str(tmp_path),
        "COORDINATOR_PORT": str(free_port()),
        "LOG_LEVEL": "debug",
        **wrong,
    }
    running = subprocess.Popen(
        [sys.executable, "-m", "coordinator.main"],
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    assert running.stdout is not None
    reader = threading.Thread(target=lambda: lines.extend(running.stdout or ()), daemon=True)
    reader.start()
    shown = arguments_of(running.pid)
    try:
        # It ends by itself, or says that its store is away.
        until(
            lambda: running.poll() is not None or len(lines) > 3,
            what="it has said what is wrong",
            within_s=60,
            told=lambda: "".join(lines),
        )
    finally:
        running.kill()
        running.wait(30)
        reader.join(30)

    assert lines
    assert seen(shown + "".join(lines)) == []
