"""Configuration files: what must stand in them, and that their own programs can read them."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from kotaemon_node.domain import limits
from kotaemon_node.local import config, haproxy
from kotaemon_node.local.cluster import WORKER_SLOTS, Cluster

CLUSTER = Cluster(
    cluster_id="0123abcd",
    folder="/data",
    first_port=21_000,
    port=8080,
    host="127.0.0.1",
    workers=3,
    redis_url="",
)


def test_haproxy_has_a_line_with_a_fixed_id_for_each_slot_whatever_runs() -> None:
    text = config.haproxy_config(CLUSTER, open_files_max=20_000)

    servers = re.findall(r"^ +server (\S+) 127\.0\.0\.1:(\d+) id (\d+)(?: |$)", text, re.M)

    assert servers == [
        (f"worker-{slot}", str(CLUSTER.worker_ports[slot]), str(slot + 1))
        for slot in range(WORKER_SLOTS)
    ]
    nine = config.haproxy_config(replace(CLUSTER, workers=9), open_files_max=20_000)
    assert text.replace(" weight 0\n", "\n") == nine.replace(" weight 0\n", "\n")


@pytest.mark.parametrize(
    ("workers", "stopped", "expected"),
    [
        (1, [], ["worker-0"]),
        (3, [], ["worker-0", "worker-1", "worker-2"]),
        # All that supervisord does not want to run is named, other processes and slots as well.
        (3, ["redis", "worker-1", "worker-3"], ["worker-0", "worker-2"]),
        (WORKER_SLOTS, [], [f"worker-{slot}" for slot in range(WORKER_SLOTS)]),
    ],
)
def test_a_starting_haproxy_expects_pods_only_where_some_run(
    workers: int, stopped: list[str], expected: list[str]
) -> None:
    cluster = replace(CLUSTER, workers=workers)

    text = config.haproxy_config(cluster, open_files_max=20_000, stopped=stopped)

    assert re.findall(r"^ +server (\S+) \S+ id \d+$", text, re.M) == expected
    assert len(re.findall(r"^ +server .* weight 0$", text, re.M)) == WORKER_SLOTS - len(expected)


def test_haproxy_accepts_it(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "haproxy.cfg").write_text(config.haproxy_config(CLUSTER, open_files_max=20_000))
    for name, text in haproxy.scripts().items():
        (tmp_path / name).write_text(text)

    verdict = subprocess.run(
        ["haproxy", "-c", "-f", "haproxy.cfg"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert verdict.returncode == 0, verdict.stderr
    assert "WARNING" not in verdict.stderr


@pytest.mark.parametrize(("open_files_max", "connections"), [(1024, 412), (1_000_000, 40_000)])
def test_haproxy_takes_no_more_connections_than_it_may_open_files(
    open_files_max: int, connections: int
) -> None:
    text = config.haproxy_config(CLUSTER, open_files_max=open_files_max)

    assert f"maxconn {connections}\n" in text


def test_the_longest_message_fits_into_one_buffer() -> None:
    assert limits.MESSAGE_CHARS_MAX * 3 + 16 * 1024 < haproxy.BUFFER_BYTES


def test_redis_keeps_everything_on_disk_and_throws_nothing_away() -> None:
    lines = config.redis_config(CLUSTER).splitlines()

    assert {"appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction"} <= set(lines)
    assert {"bind 127.0.0.1", f"port {CLUSTER.redis_port}"} <= set(lines)


def test_redis_understands_its_file(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis.conf").write_text(config.redis_config(CLUSTER))
    redis = shutil.which("redis-server")
    assert redis is not None

    # A port it cannot have: it reads the whole file and ends.
    done = subprocess.run(
        [redis, "redis.conf", "--port", "1", "--bind", "192.0.2.1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert "Could not create server TCP listening socket" in done.stdout
    assert "FATAL CONFIG" not in done.stdout + done.stderr


def _supervisord_reads(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ServerOptions:
    for name in ("run", "logs"):
        (folder / name).mkdir()
    (folder / "supervisord.conf").write_text(text)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KOTAEMON_PYTHON", '/opt/my python/"3"; 100% #1')
    options = ServerOptions()
    options.realize(["-n", "-c", "supervisord.conf"])
    return options


def test_supervisord_stops_workers_first_together_and_redis_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = _supervisord_reads(config.supervisord_config(CLUSTER), tmp_path, monkeypatch)

    groups = sorted(options.process_group_configs, key=lambda group: -group.priority)

    assert [group.name for group in groups] == ["workers", "haproxy", "coordinator", "redis"]
    assert len(groups[0].process_configs) == WORKER_SLOTS


def test_supervisord_restarts_for_ever_and_kills_whole_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = _supervisord_reads(config.supervisord_config(CLUSTER), tmp_path, monkeypatch)

    programs = [
        program for group in options.process_group_configs for program in group.process_configs
    ]

    assert all(program.autorestart and not program.autostart for program in programs)
    assert all(program.startretries > 10_000 for program in programs)
    assert all(program.killasgroup for program in programs)


def test_a_pod_is_told_its_own_name_and_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = _supervisord_reads(config.supervisord_config(CLUSTER), tmp_path, monkeypatch)
    workers = next(group for group in options.process_group_configs if group.name == "workers")

    worker = next(one for one in workers.process_configs if one.name == "worker-2")

    assert worker.environment == {
        "POD_NAME": "worker-2",
        "POD_ADDRESS": f"127.0.0.1:{CLUSTER.worker_ports[2]}",
        "POD_PID_FILE": "run/worker-2.pid",
    }


def test_no_redis_of_its_own_where_one_is_given() -> None:
    foreign = replace(CLUSTER, redis_url="redis://db.example:6379/0")

    assert "redis" not in [program.name for program in config.programs(foreign)]
    assert "redis" in [program.name for program in config.programs(CLUSTER)]
