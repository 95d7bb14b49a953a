"""A whole cluster is backed up while it works, loses everything, and is as it was."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cluster import COMMAND, Cluster

pytestmark = pytest.mark.long

DELIVERY = "How long does standard delivery to Singapore take?"
PROBES = """
probes:
  - question: How long may I return a lamp?
    documents: [returns.md]
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    knowledge = tmp_path / "knowledge"
    knowledge.mkdir()
    (knowledge / "returns.md").write_text("# Returns\n\nYou may return a lamp within 30 days.\n")
    (knowledge / "delivery.md").write_text(
        "# Delivery\n\nStandard delivery to Singapore takes 2 to 3 working days.\n"
    )
    (knowledge / ".probes.yaml").write_text(PROBES)
    with Cluster(tmp_path / "data", workers=2, knowledge=knowledge) as cluster:
        yield cluster


def ask(cluster: Cluster, session: str, turn_id: str) -> Any:
    answer = requests.post(
        f"{cluster.url}/v1/sessions/{session}/turns",
        json={"message": f"{DELIVERY} ({turn_id})", "turn_id": turn_id},
        timeout=120,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def history(cluster: Cluster, session: str, **query: Any) -> requests.Response:
    return requests.get(f"{cluster.url}/v1/sessions/{session}", params=query, timeout=60)


def command(cluster: Cluster, *arguments: str) -> Any:
    done = cluster.command(*arguments, "--knowledge", str(knowledge_of(cluster)), timeout_s=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def knowledge_of(cluster: Cluster) -> Path:
    return cluster.folder.path.parent / "knowledge"


def lose_everything(cluster: Cluster) -> None:
    """Remove all that it keeps, but its keys; it is down."""
    shutil.rmtree(cluster.folder.redis)
    shutil.rmtree(cluster.folder.artifacts)
    for path in knowledge_of(cluster).iterdir():
        path.unlink()


def shelf(cluster: Cluster, *arguments: str) -> Any:
    """Run a command on backups alone."""
    return json.loads(elsewhere(cluster, "backup", *arguments, "--json"))


def elsewhere(cluster: Cluster, *arguments: str, **settings: str) -> str:
    """Run a command that needs no cluster where there is none."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=cluster.environment | settings,
        cwd=cluster.folder.path.parent,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def cited(turn: Any) -> list[str]:
    return sorted(source["document"] for source in turn["sources"])


@pytest.mark.timeout(1500)
def test_a_cluster_that_lost_everything_is_restored_and_clients_go_on_or_are_told(
    running: Cluster, tmp_path: Path
) -> None:
    to = f"file://{tmp_path}/backups"
    ask(running, "s1", "t0")
    ask(running, "s2", "t0")
    command(running, "backup", "--to", to, "--full", "--json")
    told = ask(running, "s1", "t1")
    second = command(running, "backup", "--to", to, "--json")
    assert second["kind"] == "incremental"
    assert second["sessions"]["copied"] == 1
    ask(running, "s2", "t1")  # is in no backup
    before = history(running, "s1").json()
    after = history(running, "s2").json()

    # It asks nothing of the cluster, and needs to know only whom that trusts.
    own = str(running.folder.path / "keys" / "signing.pem")
    public = elsewhere(running, "signing-key", "show", own).strip()
    asked = ("restore", "--drill", "--from", to, "--json")
    drill = json.loads(elsewhere(running, *asked, TRUSTED_KEYS=public))
    assert drill["problems"] == []
    assert drill["sessions"] == 2
    assert drill["answers"][0]["recall"] == 1.0

    # As after a disaster: no process remembers, and the coordinator begins with nothing.
    running.down()
    lose_everything(running)
    running.up()
    done = command(running, "restore", "--from", to, "--replace-generations", "--json")
    assert done["sessions"]["restored"] == 2

    now = history(running, "s1").json()
    assert [turn["answer"] for turn in now["turns"]] == [it["answer"] for it in before["turns"]]
    assert (now["version"], now["hash"]) == (before["version"], before["hash"])
    # Who knows an epoch of before is told, whether or not something is lost; then it goes on.
    for session, known in (("s1", before), ("s2", after)):
        gone = history(running, session, epoch=known["epoch"])
        assert (gone.status_code, gone.json()["error"]["code"]) == (410, "gone")
    assert [turn["turn_id"] for turn in history(running, "s2").json()["turns"]] == ["t0"]
    assert ask(running, "s1", "t1")["answer"] == told["answer"]  # a retry is no second turn

    tries = count()

    def answers_again() -> bool:
        # A new session each time: a turn is never executed twice.
        try:
            return cited(ask(running, f"after-{next(tries)}", "t9")) == cited(told)
        except AssertionError:
            return False

    running.wait_until(answers_again, what="answers cite the same", timeout_s=240)
    url = told["sources"][0]["url"]
    opened = requests.get(f"{running.url}{url}", timeout=60)
    assert opened.status_code == 200, opened.text
    assert opened.json()["document"] == "delivery.md"


@pytest.mark.timeout(900)
def test_a_backup_that_is_killed_leaves_the_one_before_valid(
    running: Cluster, tmp_path: Path
) -> None:
    to = f"file://{tmp_path}/backups"
    ask(running, "s1", "t0")
    command(running, "backup", "--to", to, "--json")
    ask(running, "s1", "t1")
    slow = [*COMMAND, "backup", "--to", to, "--full", "--pause-ms", "60000"]
    slow += ["--knowledge", str(knowledge_of(running)), "--data", str(running.folder.path)]
    killed = subprocess.Popen(slow, env=running.environment)
    notes = tmp_path / "backups" / "unfinished"
    running.wait_until(
        lambda: any(notes.rglob("artifacts.json")), what="it is half done", timeout_s=240
    )
    killed.send_signal(signal.SIGKILL)
    killed.wait(60)

    assert len(shelf(running, "list", "--to", to)) == 1
    assert [it["problems"] for it in shelf(running, "verify", "--to", to)] == [[]]
    # The next one goes on where it was, as soon as the lease of the killed one is over.
    assert command(running, "backup", "--to", to, "--full", "--json")["sessions"]["turns"] == 2
    assert shelf(running, "prune", "--to", to, "--keep", "1")["blobs"] > 0
