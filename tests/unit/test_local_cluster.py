"""A cluster keeps its identity and its ports from one start to the next."""

import errno
import shutil
import socket
from pathlib import Path

import pytest

from kotaemon_node.local import cluster as clusters
from kotaemon_node.local import preflight
from kotaemon_node.local.cluster import BLOCK_PORTS, BUILD_WORKER_SLOTS, WORKER_SLOTS, Cluster
from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.local.ports import FIRST_PORT, LAST_PORT, choose_block, is_free

EPHEMERAL_FIRST = 32_768


def _settle(folder: DataFolder, *, workers: int = 3, port: int = 8080) -> Cluster:
    cluster = clusters.settle(folder, port=port, host="127.0.0.1", workers=workers, redis_url="")
    clusters.save(folder, cluster)
    return cluster


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path)


def test_a_second_start_has_the_same_identity_and_ports(folder: DataFolder) -> None:
    first = _settle(folder)

    second = _settle(folder, workers=5, port=9090)

    assert second.cluster_id == first.cluster_id
    assert second.worker_ports == first.worker_ports
    assert (second.redis_port, second.coordinator_port) == (
        first.redis_port,
        first.coordinator_port,
    )
    assert (second.workers, second.port) == (5, 9090)


def test_every_process_has_a_port_of_its_own_below_the_ephemeral_ones(folder: DataFolder) -> None:
    cluster = _settle(folder)

    ports = [
        *(cluster.redis_port, cluster.coordinator_port, *cluster.worker_ports),
        *(cluster.kafka_port, cluster.kafka_controller_port, *cluster.build_worker_ports),
        *(cluster.balancer_metrics_port, cluster.shop_port, cluster.turn_log_port),
        *cluster.grpc_ports,
    ]

    assert len(set(ports)) == 2 * WORKER_SLOTS + BUILD_WORKER_SLOTS + 7 == BLOCK_PORTS
    assert min(ports) >= FIRST_PORT
    assert max(ports) <= LAST_PORT < EPHEMERAL_FIRST


def test_ports_that_a_stranger_took_are_given_up(folder: DataFolder) -> None:
    first = _settle(folder)
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", first.worker_ports[7]))
        stranger.listen()

        second = _settle(folder)

    assert second.cluster_id == first.cluster_id
    assert not set(second.worker_ports) & {first.worker_ports[7]}


def test_a_copied_data_folder_is_another_cluster(folder: DataFolder, tmp_path: Path) -> None:
    original = _settle(folder)
    copy = DataFolder(tmp_path / "copy")
    copy.path.mkdir()
    shutil.copy(folder.cluster_file, copy.cluster_file)

    assert _settle(copy).cluster_id != original.cluster_id


def test_a_damaged_file_is_an_error_and_not_a_new_cluster(folder: DataFolder) -> None:
    folder.cluster_file.write_text('{"cluster_id": "half a f')

    with pytest.raises(LocalError, match=r"cluster\.json is damaged"):
        clusters.load(folder)


def test_a_block_holds_no_busy_port() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", choose_block(1)))
        busy.listen()
        port = busy.getsockname()[1]

        first = choose_block(BLOCK_PORTS)

        assert not is_free(port)
        assert port not in range(first, first + BLOCK_PORTS)


def test_a_port_that_a_user_may_not_have_is_no_busy_one(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(preflight, "obstacle", lambda *_, **__: refused)

    with pytest.raises(LocalError, match=r"Port 80 .*above 1023 with --port"):
        preflight.check_port("127.0.0.1", 80)


def test_a_cluster_open_to_the_network_is_still_reached_on_this_machine(
    folder: DataFolder,
) -> None:
    cluster = clusters.settle(folder, port=8080, host="0.0.0.0", workers=1, redis_url="")

    assert cluster.url == "http://127.0.0.1:8080"
