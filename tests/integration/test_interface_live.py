"""A whole cluster, through its balancer, answers as ``/openapi.json`` says."""

from pathlib import Path

import pytest
import requests
import schemathesis

from tests.cluster import Cluster
from tests.interface_cases import config, played

pytestmark = pytest.mark.long

# They last for as long as somebody reads, or need another protocol: their own tests play them.
_LASTING = ["sessions_stream_session", "websocket_chat", "voice_talk"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("auth_mode", ["open", "keys"])
def test_a_cluster_answers_as_it_is_described(auth_mode: str, tmp_path: Path) -> None:
    settings = {"AUTH_MODE": auth_mode}
    with Cluster(tmp_path / "data", plugins="sample", environment=settings) as cluster:
        key = "" if auth_mode == "open" else _key(cluster)
        schema = schemathesis.openapi.from_url(
            f"{cluster.url}/openapi.json", config=config(examples=3, stateful=True, key=key)
        )

        assert set(_LASTING) <= {
            operation.get("operationId")
            for path in schema.raw_schema["paths"].values()
            for operation in path.values()
        }
        cases, findings = played(schema.exclude(operation_id=_LASTING))

        # The balancer puts its own id there, whatever a client sends.
        findings = [it for it in findings if "X-Turn-Default" not in it.problem]
        assert cases > 1_000
        assert not findings, "\n".join(str(finding) for finding in findings)
        # and after all of it the cluster is as well as before
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        pods = requests.get(f"{cluster.url}/v1/cluster", headers=headers, timeout=20).json()
        assert [pod["ready"] for pod in pods["pods"]] == [True] * 3


def _key(cluster: Cluster) -> str:
    done = cluster.command("keys", "create", "--tenant", "default", "--role", "admin")
    assert done.returncode == 0, done.stderr
    return next(word for word in done.stdout.split() if word.startswith("kn_"))
