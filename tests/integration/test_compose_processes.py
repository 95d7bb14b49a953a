"""docker compose's cluster, without Docker: the same commands, files, users, rights and networks.

``tests/compose_project.py`` stands for Docker. Not shown: the images themselves, their exact
versions, and Grafana.
"""

import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from kotaemon_node.chaos.reader import TurnReader
from kotaemon_node.local import broker_jars
from tests import compose_file
from tests.compose_container import cannot_run_here
from tests.compose_project import Project
from tests.fakes.llm_server import FakeLlmServer
from tests.turn_cluster import QUESTION, Reader, new_id, turn_at

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(cannot_run_here()), reason=cannot_run_here() or "it can"),
]
_MODEL_PORT = 9000
_GIGABYTES = {"g": 1 << 30, "m": 1 << 20}


class Composed:
    """The project that is up, where its page is, and its model."""

    def __init__(self, project: Project, model: FakeLlmServer, folder: Path) -> None:
        self.project, self.model, self.folder = project, model, folder
        self.url = project.url("haproxy", 8080)

    def reader(self) -> TurnReader:
        """Return a client of a new turn in a new session."""
        return TurnReader(self.url, session_id=new_id("s"), turn_id=new_id("t"), message=QUESTION)


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """Bring the cluster up, once for this module."""
    if not broker_jars.there():
        broker_jars.fetch()
    left_out = {"grafana"}
    if not shutil.which("prometheus"):
        left_out.add("prometheus")
    folder = tmp_path_factory.mktemp("compose")
    variables = {
        "LLM_BASE_URL": f"http://host.docker.internal:{_MODEL_PORT}/v1",
        "LLM_CONTINUE": "vllm",
    }
    with (
        FakeLlmServer(tokens_min=80) as model,
        Project(folder, variables, leave_out=left_out) as project,
    ):
        project.networks.admit(
            "front", _MODEL_PORT, int(model.base_url.split(":")[2].split("/")[0])
        )
        yield Composed(project, model, folder)


def test_it_comes_up_in_the_order_of_its_conditions(composed: Composed) -> None:
    order = composed.project.healthy
    assert set(order) == set(composed.project.services)
    for first, then in (("setup", "redis"), ("redis", "coordinator-0"), ("kafka", "coordinator-1"),
                        ("coordinator-0", "worker-0"), ("worker-2", "haproxy")):  # fmt: skip
        assert order.index(first) < order.index(then)


def test_it_answers_on_the_page_s_port_from_its_documents(composed: Composed) -> None:
    page = requests.get(composed.url, timeout=60)
    assert page.status_code == 200
    assert "text/html" in page.headers["Content-Type"]

    reading = composed.reader().read()
    assert reading.state == "done", reading.problems
    turn = turn_at(composed.url, reading)
    assert turn["answer"] == reading.text != ""
    assert any("shipping" in source["document"] for source in turn["sources"])
    assert composed.model.stats["completed"] > 0


def test_an_uploaded_document_is_found_by_every_worker(composed: Composed) -> None:
    text = b"# Teapots\n\nThe teapot Celadon holds 750 millilitres."
    sent = requests.post(
        f"{composed.url}/v1/knowledge/shop/documents",
        files={"file": ("teapots.md", text)},
        timeout=60,
    )
    assert sent.status_code == 202, sent.text
    job = f"{composed.url}/v1/jobs/{sent.json()['job']}"
    wait = composed.project.wait_until
    wait(lambda: requests.get(job, timeout=60).json()["state"] == "done", what="it is published")
    for slot in range(3):
        address = f"{composed.project.url(f'worker-{slot}', 8000)}/v1/search"
        question = {"q": "How much does the teapot Celadon hold?", "kb": "shop"}
        wait(
            lambda address=address, question=question: (
                "750 millilitres" in requests.get(address, params=question, timeout=60).text
            ),
            what=f"worker-{slot} finds it",
        )


def test_an_answer_goes_on_when_its_worker_is_killed_and_the_worker_comes_back(
    composed: Composed,
) -> None:
    project = composed.project
    behaviour = composed.model.behaviour
    behaviour.first_ms, behaviour.token_ms = 30, 200
    with Reader(composed.reader()) as client:
        project.wait_until(lambda: client.texts() >= 3, what="the answer has begun")
        victim = str(turn_at(composed.url, client.reading)["owner"]).partition(".")[0]
        before = project[victim].pid
        project[victim].kill()
        behaviour.token_ms = 20
        reading = client.finish()
    assert reading.state == "done", (reading.tries, reading.problems)
    assert not reading.problems
    turn = turn_at(composed.url, reading)
    assert turn["answer"] == reading.text
    assert turn["attempts"] == 2
    assert str(turn["owner"]).partition(".")[0] != victim

    project.wait_healthy(victim)
    assert project[victim].pid != before


def test_only_who_shall_reaches_the_stores(composed: Composed) -> None:
    project = composed.project
    redis, kafka = project.address("redis", "back"), project.address("kafka", "back")

    def reaches(name: str, address: str, port: int) -> bool:
        def attempt() -> bool:
            try:
                socket.create_connection((address, port), timeout=2).close()
            except OSError:
                return False
            return True

        return project[name].namespace.inside(attempt)

    assert reaches("worker-0", redis, 6379)
    assert reaches("worker-0", kafka, 9092)
    assert not reaches("haproxy", redis, 6379)
    assert not reaches("haproxy", kafka, 9092)
    assert not reaches("redis", project.address("haproxy", "front"), 8080)


def test_nothing_may_be_written_but_volumes_and_memory(composed: Composed) -> None:
    for name, told in composed.project.services.items():
        container = composed.project[name]
        if not container.running:
            continue
        status = Path(f"/proc/{container.pid}/status").read_text()
        uid, _, gid = told["user"].partition(":")
        assert re.search(rf"^Uid:\s+{uid}\s+{uid}\s", status, re.M), name
        assert re.search(rf"^Gid:\s+{gid}\s", status, re.M), name
        assert re.search(r"^CapEff:\s+0+$", status, re.M), name
        assert re.search(r"^CapBnd:\s+0+$", status, re.M), name
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.M), name
        mounted = Path(f"/proc/{container.pid}/mountinfo").read_text()
        assert re.search(r" / / ro,", mounted), name


def test_each_container_has_room_below_its_limit(composed: Composed) -> None:
    for name, told in composed.project.services.items():
        if composed.project[name].running:
            limit = told["deploy"]["resources"]["limits"]["memory"]
            allowed = int(limit[:-1]) * _GIGABYTES[limit[-1]]
            used = composed.project[name].memory_bytes()
            print(f"{name}: {used >> 20} MiB of {allowed >> 20}")
            assert 0 < used < allowed / 2, name


@pytest.mark.skipif(not shutil.which("prometheus"), reason="there is no Prometheus")
def test_prometheus_finds_every_process_and_the_rules(composed: Composed) -> None:
    url = composed.project.url("prometheus", 9090)

    def up() -> dict[str, str]:
        found = requests.get(f"{url}/api/v1/query", params={"query": "up"}, timeout=60).json()
        return {row["metric"]["instance"]: row["value"][1] for row in found["data"]["result"]}

    wanted = {
        *(f"worker-{slot}:8000" for slot in range(3)),
        *(f"coordinator-{number}:8090" for number in range(2)),
        "haproxy:8405",
        "127.0.0.1:9090",
    }
    composed.project.wait_until(
        lambda: {name for name, value in up().items() if value == "1"} == wanted,
        what="all are scraped",
    )
    groups = requests.get(f"{url}/api/v1/rules", timeout=60).json()["data"]["groups"]
    assert groups


def test_a_second_start_keeps_keys_and_passwords(composed: Composed) -> None:
    secrets = sorted((composed.folder / "volumes").glob("secrets-*/*"))
    assert {path.name for path in secrets} == {
        "admin-key", "artifact-token", "audit.keys", "environment", "master.keys", "password",
        "redis-password", "signing.pem", "signing.pub", "users.acl",
    }  # fmt: skip
    before = [path.read_text() for path in secrets]
    setup = composed.project["setup"]
    setup.start()
    composed.project.wait_until(lambda: setup.ended is not None, what="setup has ended")
    assert setup.ended == 0
    assert [path.read_text() for path in secrets] == before
    private = next(path for path in secrets if path.name == "signing.pem")
    assert private.stat().st_mode & 0o077 == 0


def test_a_worker_that_is_stopped_leaves_by_itself(composed: Composed) -> None:
    assert composed.project.stop("worker-2") >= 0, "it had to be killed"
    reading = composed.reader().read()
    assert reading.state == "done", reading.problems


def test_it_can_be_closed_with_the_key_that_was_made(composed: Composed) -> None:
    # Last: from here on one worker wants a key.
    project = composed.project
    project.stop("worker-1")
    # As `AUTH_MODE=keys` in .env does.
    closed = compose_file.load({"AUTH_MODE": "keys"})["services"]["worker-1"]
    project.change("worker-1", closed)
    project.wait_healthy("worker-1")
    address = f"{project.url('worker-1', 8000)}/v1/sessions"
    assert requests.get(address, timeout=60).status_code == 401
    key = (composed.folder / "volumes" / "secrets-cluster" / "admin-key").read_text()
    shown = requests.get(address, headers={"Authorization": f"Bearer {key}"}, timeout=60)
    assert shown.status_code == 200, shown.text
