"""What these tests share: a Redis for parts of pods in this process, a cluster with a model."""

from collections.abc import Iterator

import pytest

from tests.redis_server import RedisServer
from tests.sharing import Shared
from tests.turn_cluster import TurnCluster, turn_cluster


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """Run one for a whole module."""
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def server(redis_server: RedisServer) -> RedisServer:
    """Return it, empty."""
    redis_server.wipe()
    return redis_server


_TURNS = Shared("shared_turn_cluster", lambda folder: turn_cluster(folder / "data"))


@pytest.fixture
def shared_turn_cluster(tmp_path_factory: pytest.TempPathFactory) -> TurnCluster:
    """Run one cluster with a paced language model for all files that disturb its turns."""
    return _TURNS.get(tmp_path_factory.getbasetemp() / "shared-turn-cluster")


@pytest.fixture
def running(shared_turn_cluster: TurnCluster) -> TurnCluster:
    """Return it with every process ready and a model that breaks nothing."""
    shared_turn_cluster.cluster.wait_ready()
    shared_turn_cluster.pace()
    return shared_turn_cluster
