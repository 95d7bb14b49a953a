"""Plugins on a whole cluster: dropped into a folder, pushed, tried on a share, switched off."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from kotaemon_node.adapters.signing import create_signing_key
from tests.cluster import Cluster

SOURCE = """
from kotaemon_node.plugins import BasePlugin, IntentHook

class Parcels(BasePlugin):
    name, description = "parcels", "Knows where parcels are."

    @IntentHook(intent="where_parcel", examples=["where is my parcel"])
    def where(self, user_input, session_id):
        return {"result": "Your parcel is in TOWN."}
"""


def plugins(cluster: Cluster) -> dict[str, Any]:
    answer = requests.get(f"{cluster.url}/v1/plugins", timeout=30)
    assert answer.status_code == 200, answer.text
    return {plugin["name"]: plugin for plugin in answer.json()["plugins"]}


def versions(cluster: Cluster) -> list[tuple[Any, Any]]:
    """What each pod has of it."""
    pods = requests.get(f"{cluster.url}/v1/cluster", timeout=30).json()["pods"]
    rows = [pod.get("plugins", {}).get("parcels", {}) for pod in pods]
    return [(row.get("version"), row.get("next")) for row in rows]


def until_all_have(cluster: Cluster, wanted: tuple[Any, Any]) -> float:
    return cluster.wait_until(
        lambda: versions(cluster) == [wanted, wanted], what=f"{wanted} on both pods"
    )


def told(cluster: Cluster, *arguments: str) -> Any:
    """Run a command of ``kotaemon plugins`` and return the plugin that it prints."""
    done = cluster.command("plugins", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def heard(cluster: Cluster) -> list[float]:
    """How many events about plugins each pod has heard on the bus."""
    name = 'kotaemon_events_total{outcome="handled",topic="config_updated"}'
    found = []
    for port in cluster.worker_ports()[:2]:
        shown = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
        lines = [line for line in shown.splitlines() if line.startswith(name)]
        found.append(float(lines[0].split()[-1]) if lines else 0.0)
    return found


@pytest.mark.long
@pytest.mark.parametrize("bus", ["redis", "kafka"])
def test_plugins_come_change_are_tried_and_go_without_a_restart(tmp_path: Path, bus: str) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    stranger = tmp_path / "stranger.pem"
    create_signing_key(stranger)
    environment = {"PLUGINS_DIR": str(folder)}
    with Cluster(
        tmp_path / "data", workers=2, environment=environment, arguments=["--bus", bus]
    ) as cluster:
        pids = {name: cluster.pid(name) for name in ("worker-0", "worker-1")}

        # Dropped into the folder, then changed.
        (folder / "parcels.py").write_text(SOURCE.replace("TOWN", "Rome"))
        cluster.wait_until(lambda: "parcels" in plugins(cluster), what="taken")
        first = plugins(cluster)["parcels"]["stable"]["version"]
        until_all_have(cluster, (first, None))

        # Tried on a tenth of the sessions, pushed from a file elsewhere.
        pushed = tmp_path / "parcels.py"
        pushed.write_text(SOURCE.replace("TOWN", "Oslo"))
        second = told(cluster, "push", str(pushed), "--rollout", "10")["next"]["version"]
        until_all_have(cluster, (first, second))
        told(cluster, "rollout", "parcels", "100")
        until_all_have(cluster, (second, None))

        # Signed by nobody whom the cluster trusts.
        refused = cluster.command("plugins", "push", str(pushed), "--key", str(stranger))
        assert refused.returncode == 1
        assert "not trusted" in refused.stderr

        # One that does not start leaves the one before in use, and says why.
        (folder / "parcels.py").write_text(SOURCE + "raise RuntimeError('no such town')\n")
        cluster.wait_until(
            lambda: all(pod["problem"] for pod in plugins(cluster)["parcels"]["pods"]),
            what="told by both pods",
        )
        listed = cluster.command("plugins", "list")
        assert "no such town" in listed.stderr
        assert versions(cluster) == [(second, None)] * 2

        told(cluster, "disable", "parcels")
        until_all_have(cluster, (None, None))

        (folder / "parcels.py").unlink()
        cluster.wait_until(lambda: "parcels" not in plugins(cluster), what="gone")
        assert {name: cluster.pid(name) for name in pids} == pids
        # Pods look every second anyway: that they were told is seen here alone.
        cluster.wait_until(lambda: min(heard(cluster)) >= 5, what="events on both pods")
