"""Brings a cluster up."""

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Literal

from kotaemon_node.local import (
    broker,
    broker_jars,
    config,
    leftovers,
    preflight,
    redis_users,
    table,
    tls,
)
from kotaemon_node.local import cluster as clusters
from kotaemon_node.local.admin_key import settle as settle_admin_key
from kotaemon_node.local.audit_key import settle as settle_audit_key
from kotaemon_node.local.cluster import Cluster
from kotaemon_node.local.control import down, start_each, write_balancer
from kotaemon_node.local.encryption import settle as settle_master_keys
from kotaemon_node.local.errors import LocalError, StartFailed
from kotaemon_node.local.folder import DataFolder, write_whole
from kotaemon_node.local.places import begin_knowledge
from kotaemon_node.local.plan import Plan, Wishes, make_plan
from kotaemon_node.local.sample import begin_plugins, shop_environment
from kotaemon_node.local.signing import settle as settle_keys
from kotaemon_node.local.supervisor import Supervisor, spawn
from kotaemon_node.local.waiting import POLL_S, Progress, wait_balanced, wait_ready
from kotaemon_node.local.weights import check_weights

SUPERVISORD_START_S = 15.0


@dataclass(frozen=True, slots=True)
class Running:
    """A cluster that is up, and its supervisord."""

    cluster: Cluster
    plan: Plan
    supervisord: subprocess.Popen[bytes]
    admin_key_file: str = ""
    """Where its first admin key lies; empty: nobody needs one, or the environment holds it."""


def up(wishes: Wishes, *, progress: Progress) -> Running:
    """Start everything and return when every process is ready.

    ``LocalError`` before anything was started; ``StartFailed`` and whatever interrupts the start
    after all that was started is stopped again.
    """
    folder = wishes.folder
    plan = make_plan(wishes, preflight.read_settings())
    preflight.check_workers(wishes.workers)
    preflight.check_build_workers(
        wishes.build_workers, kafka=plan.own_kafka or bool(plan.kafka_servers)
    )
    preflight.check_programs(own_redis=not plan.redis_url)
    preflight.check_apart(plan.knowledge, folder.path)
    folder.prepare()
    with folder.sole_start():
        _refuse_second(folder)
        _end_leftovers(folder, progress)
        _check_surroundings(wishes, plan, progress)
        before = clusters.load(folder)
        cluster = clusters.settle(
            folder,
            port=wishes.port,
            host=wishes.host,
            workers=wishes.workers,
            redis_url=plan.redis_url,
            own_kafka=plan.own_kafka,
            build_workers=wishes.build_workers,
            shop=plan.shop,
            turn_log=wishes.turn_log,
            knowledge="" if plan.knowledge == folder.knowledge.absolute() else str(plan.knowledge),
            grpc_port=plan.grpc_port,
            tls=plan.tls_cert is not None,
            hsts_s=plan.hsts_s,
            http_port=plan.http_port,
            trusted_proxies=plan.trusted_proxies,
            redis_users=redis_users.settle(folder, preflight.read_settings()),
        )
        if plan.shop:
            begin_plugins(plan.plugins, cluster, before)
        _write_configuration(folder, cluster, plan)
        keys = settle_keys(folder, preflight.read_settings())
        admitted = settle_admin_key(folder, preflight.read_settings())
        sealed = settle_master_keys(folder, preflight.read_settings())
        audited = settle_audit_key(folder, preflight.read_settings())
        environment = {**_environment(cluster, plan), **keys, **admitted, **sealed, **audited}
        if wishes.turn_log:
            environment.setdefault("TURN_LOG", "on")
        supervisord = spawn(folder, environment=environment, with_us=not wishes.detach)
        try:
            _start_in_order(folder, cluster, supervisord, progress)
        except BaseException:
            down(folder)
            raise
    return Running(cluster, plan, supervisord, admitted.get("ADMIN_KEY_FILE", ""))


def _refuse_second(folder: DataFolder) -> None:
    if Supervisor(folder).alive():
        running = clusters.load(folder)
        where = f" on {running.url}" if running else ""
        raise LocalError(
            f"A cluster is already running in {folder.path}{where}; stop it with"
            f" `kotaemon down --data {folder.path}` or name another folder with --data."
        )


def _end_leftovers(folder: DataFolder, progress: Progress) -> None:
    left = leftovers.find(folder)
    if left:
        progress("supervisord", f"was killed; ending the {len(left)} processes it left")
        leftovers.end(left)


def _check_surroundings(wishes: Wishes, plan: Plan, progress: Progress) -> None:
    preflight.check_port(wishes.host, wishes.port)
    preflight.check_tls(plan, host=wishes.host)
    if plan.redis_url:
        preflight.check_redis(plan.redis_url)
    preflight.check_durability(plan.durability, plan.redis_url)
    if plan.kafka_servers and not preflight.kafka_answers(preflight.read_settings()):
        progress("kafka", f"does not answer at {plan.kafka_servers}; pods go on without it")
    if plan.own_kafka:
        broker.check_java()
        if not broker_jars.there():
            progress("kafka", "fetching the broker with Maven, once (45 MB)")
            broker_jars.fetch()
    check_weights(plan.models, plan.encoder_model, plan.encoder_backend)
    if plan.knowledge == wishes.folder.knowledge:
        begin_knowledge(plan.knowledge)
    preflight.check_knowledge(plan.knowledge)
    if plan.plugins == wishes.folder.plugins and not plan.shop:
        plan.plugins.mkdir(exist_ok=True)
    if not plan.shop:  # else they are begun when it has a port
        preflight.check_plugins(plan.plugins)


def _write_configuration(folder: DataFolder, cluster: Cluster, plan: Plan) -> None:
    open_files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if plan.tls_cert is not None:
        tls.link(folder, plan.tls_cert, plan.tls_key)
    write_balancer(folder, cluster, open_files_max=open_files_max)
    fsync: Literal["always", "everysec"] = "always" if plan.durability == "fsync" else "everysec"
    users = redis_users.lines(folder) if cluster.redis_users else []
    write_whole(folder.redis_config, config.redis_config(cluster, fsync=fsync, users=users))
    if cluster.own_kafka:
        broker.prepare(
            folder,
            broker_jars.folder(),
            port=cluster.kafka_port,
            controller_port=cluster.kafka_controller_port,
        )
    write_whole(folder.supervisord_config, config.supervisord_config(cluster))
    preflight.check_haproxy_config(folder)
    clusters.save(folder, cluster)


def _environment(cluster: Cluster, plan: Plan) -> dict[str, str]:
    """Return what every process is given: the user's environment and the places of the plan."""
    _allow_many_connections()
    return {
        **os.environ,
        "PATH": preflight.search_path(),
        "PYTHONUNBUFFERED": "1",
        "KOTAEMON_PYTHON": sys.executable,
        "CLUSTER_ID": cluster.cluster_id,
        "REDIS_URL": redis_users.url_of(cluster, "worker"),
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{cluster.kafka_port}"
        if cluster.own_kafka
        else plan.kafka_servers,
        "RABBITMQ_URL": plan.rabbitmq_url,
        broker.JARS_VARIABLE: str(broker_jars.folder()),
        "ARTIFACT_URL": plan.artifact_url,
        "COORDINATOR_ARTIFACT_URL": plan.coordinator_artifact_url,
        "ARTIFACT_CACHE_DIR": str(plan.artifact_cache.absolute()),
        "KNOWLEDGE_DIR": str(plan.knowledge),
        "PLUGINS_DIR": str(plan.plugins),
        **(shop_environment() if cluster.shop else {}),
        "MODEL_DIR": str(plan.models),
        "COORDINATOR_PORT": str(cluster.coordinator_port),
    }


def _allow_many_connections() -> None:
    """Let the children open as many files as the system allows: a stream is an open file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _start_in_order(
    folder: DataFolder,
    cluster: Cluster,
    supervisord: subprocess.Popen[bytes],
    progress: Progress,
) -> None:
    _wait_for_supervisord(folder, supervisord)
    supervisor = Supervisor(folder)
    names = table.names(cluster)
    first = [name for name in names if name in {"redis", "kafka"}]
    start_each(supervisor, first, progress)
    wait_ready(folder, cluster, first, progress=progress)
    others = [name for name in names if name not in first]
    start_each(supervisor, others, progress)
    wait_ready(folder, cluster, others, progress=progress)
    wait_balanced(folder, [name for name in names if name.startswith("worker-")])


def _wait_for_supervisord(folder: DataFolder, supervisord: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SUPERVISORD_START_S
    while not Supervisor(folder).alive():
        if supervisord.poll() is not None or time.monotonic() > deadline:
            raise StartFailed(
                f"supervisord did not start; its log is {folder.log('supervisord')}.",
                process="supervisord",
                log_lines=folder.log_tail("supervisord"),
            )
        time.sleep(POLL_S)
