"""The balancer's files for places beyond one machine: the chart, Compose, and your own machines.

``python -m kotaemon_node.local.haproxy_places --cluster-id shop --worker 10.0.0.21:8000 --worker
10.0.0.22:8000 FOLDER`` writes ``haproxy.cfg`` and its Lua for workers at these addresses, whose
order is that of the slots. ``scripts/haproxy_files.py`` writes what the repository keeps.
"""

import argparse
import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from kotaemon_node.local import haproxy
from kotaemon_node.local.cluster import WORKER_SLOTS
from kotaemon_node.local.config import CONNECTIONS_MAX
from kotaemon_node.local.haproxy import Place
from kotaemon_node.local.haproxy_tls import HSTS_S, Tls, own_host, port_suffix

PUBLIC_PORT: Final = 8080
TLS_PORT: Final = 8443
WATCHING_PORT: Final = 8405
WORKER_PORT: Final = 8000
GRPC_PORT: Final = 9090
"""Of workers and balancer, where each has an address of its own."""
# Two files a connection, and some for checks, listeners and logs. A bound of connections would keep
# HAProxy from starting where it may open less files; of these it takes what it gets.
_FILES_MORE: Final = 500 + 2 * haproxy.WATCHERS_MAX
FILES_MAX: Final = 2 * CONNECTIONS_MAX + _FILES_MORE
# docker compose's cluster: as many workers as it starts, and room for more.
COMPOSE_WORKERS: Final = 3
COMPOSE_CLUSTER: Final = "compose"
COMPOSE_PORT_SUFFIX: Final = ":${HTTPS_PORT}"
"""HAProxy itself fills in what Compose publishes."""
TLS_FOLDER: Final = "/etc/kotaemon/tls"
"""Where containers find tls.crt and tls.key."""

_CHART_HEAD: Final = """\
{{- /* Made by scripts/haproxy_files.py from kotaemon_node/local/haproxy.cfg.tmpl; do not edit.
Goes through `tpl` with the root context. Reads .Values.worker.{slots,replicas}, .Values.autoscaling
.{mode,minReplicas}, .Values.{clusterDomain,ipv6}, .Values.haproxy.{maxConnections,
timeoutServerSeconds,trustedProxies}, .Values.{grpc,tls}.enabled, .Values.tls.hstsSeconds,
.Values.service.tlsPort, and the helpers kotaemon.fullname and kotaemon.clusterId. The Lua files lie
beside it. HAProxy is to be stopped by SIGUSR1, as in the official image: SIGTERM would cut its
streams. */ -}}
{{- /* Of IPv4 alone, or of both. */ -}}
{{- $any := ternary "[::]" "" .Values.ipv6 -}}
{{- $workers := printf "%s-worker" (include "kotaemon.fullname" .) -}}
{{- $scaled := ne .Values.autoscaling.mode "none" -}}
{{- $expected := ternary .Values.autoscaling.minReplicas .Values.worker.replicas $scaled | int -}}
"""
_KUBERNETES_HEAD: Final = """\
# Load balancer of a cluster in Kubernetes. A server is an ordinal of the StatefulSet: a pod that
# is replaced gets its own sessions back."""
_CHART_SERVERS: Final = """\
{{- range $slot := until (int .Values.worker.slots) }}
    %(line)s{{ if ge $slot $expected }}%(empty)s{{ end }}
{{- end }}"""
_CHART_GRPC_SERVERS: Final = """\
{{- range $slot := until (int .Values.worker.slots) }}
    %(line)s
{{- end }}"""

_CHART_UNLESS_PROXY: Final = (
    '{{ with .Values.haproxy.trustedProxies }} unless { src {{ join " " . }} }{{ end }}'
)
_CHART_PORT_SUFFIX: Final = (
    "{{ with int .Values.service.tlsPort }}{{ if ne . 443 }}:{{ . }}{{ end }}{{ end }}"
)


def chart() -> Place:
    """Return the place whose file is a Go template: Helm knows the rest."""
    line_at = partial(
        _kubernetes_line,
        "{{ $slot }}",
        "{{ add1 $slot }}",
        workers="{{ $workers }}",
        namespace="{{ $.Release.Namespace }}",
        domain="{{ $.Values.clusterDomain }}",
    )
    line, grpc = line_at(), line_at(port=GRPC_PORT)
    grpc += " track workers/worker-{{ $slot }}" + haproxy.NOT_LOOKED_UP
    place = _kubernetes(
        head=_CHART_HEAD + _KUBERNETES_HEAD,
        cluster_id='{{ include "kotaemon.clusterId" . }}',
        files_max=f"{{{{ add (mul 2 .Values.haproxy.maxConnections) {_FILES_MORE} }}}}",
        clients_max="{{ int .Values.haproxy.maxConnections }}",
        any_address="{{ $any }}",
        server_timeout_s="{{ int .Values.haproxy.timeoutServerSeconds }}",
        servers=_CHART_SERVERS % {"line": line, "empty": haproxy.EMPTY + haproxy.NOT_LOOKED_UP},
    )
    return replace(
        place,
        tls=Tls(
            folder=TLS_FOLDER,
            try_host='{{ ternary "::1" "127.0.0.1" .Values.ipv6 }}',
            try_port=str(TLS_PORT),
            address=f"{{{{ $any }}}}:{TLS_PORT}",
            plain_address=place.public_address,
            port_suffix=_CHART_PORT_SUFFIX,
            hsts_s="{{ int .Values.tls.hstsSeconds }}",
            when=".Values.tls.enabled",
            hsts_when="and .Values.tls.enabled (int .Values.tls.hstsSeconds)",
        ),
        unless_proxy=_CHART_UNLESS_PROXY,
        grpc_address=f"{{{{ $any }}}}:{GRPC_PORT}",
        grpc_servers=_CHART_GRPC_SERVERS % {"line": grpc},
        grpc_around=("{{- if .Values.grpc.enabled }}\n", "{{- end }}\n"),
    )


def kubernetes(
    release: str, *, namespace: str, workers: int, slots: int = WORKER_SLOTS, tls: bool = False
) -> Place:
    """Return what Helm makes of ``chart()`` for this full name, with the chart's other values."""
    lines = []
    for slot in range(slots):
        line = _kubernetes_line(
            str(slot),
            str(slot + 1),
            workers=f"{release}-worker",
            namespace=namespace,
            domain="cluster.local",
        )
        empty = haproxy.EMPTY + haproxy.NOT_LOOKED_UP
        lines.append(f"    {line}{'' if slot < workers else empty}")
    place = _kubernetes(
        head=_KUBERNETES_HEAD,
        cluster_id=f"{namespace}-{release}",
        files_max=str(FILES_MAX),
        clients_max=str(CONNECTIONS_MAX),
        any_address="",
        server_timeout_s="75",
        servers="\n".join(lines),
    )
    return replace(place, tls=_container_tls()) if tls else place


def _container_tls() -> Tls:
    return Tls(
        folder=TLS_FOLDER,
        try_host="127.0.0.1",
        try_port=str(TLS_PORT),
        address=f":{TLS_PORT}",
        plain_address=f":{PUBLIC_PORT}",
        hsts_s=str(HSTS_S),
    )


def _kubernetes_line(
    slot: str,
    identity: str,
    *,
    workers: str,
    namespace: str,
    domain: str,
    port: int = WORKER_PORT,
) -> str:
    address = f"{workers}-{slot}.{workers}.{namespace}.svc.{domain}:{port}"
    return f"server worker-{slot} {address} id {identity}"


def _kubernetes(
    *,
    head: str,
    cluster_id: str,
    files_max: str,
    clients_max: str,
    any_address: str,
    server_timeout_s: str,
    servers: str,
) -> Place:
    return Place(
        head=head,
        cluster_id=cluster_id,
        connections_bound=f"fd-hard-limit {files_max}",
        clients_max=clients_max,
        server_timeout_s=server_timeout_s,
        public_address=f"{any_address}:{PUBLIC_PORT}",
        watching_address=f"{any_address}:{WATCHING_PORT}",
        servers=servers,
        resolved=True,
    )


def compose(*, tls: bool = False) -> Place:
    """Return the place of docker compose: workers are services named as the slots are."""
    servers = [
        haproxy.server_line(slot, f"worker-{slot}:{WORKER_PORT}", expected=slot < COMPOSE_WORKERS)
        + ("" if slot < COMPOSE_WORKERS else haproxy.NOT_LOOKED_UP)
        for slot in range(WORKER_SLOTS)
    ]
    return Place(
        head="# Load balancer of docker compose's cluster. Made by scripts/haproxy_files.py from\n"
        "# kotaemon_node/local/haproxy.cfg.tmpl; do not edit.",
        cluster_id=COMPOSE_CLUSTER,
        connections_bound=f"fd-hard-limit {FILES_MAX}",
        clients_max=str(CONNECTIONS_MAX),
        public_address=f":{PUBLIC_PORT}",
        watching_address=f":{WATCHING_PORT}",
        servers="\n".join(servers),
        resolved=True,
        tls=replace(_container_tls(), hsts_s="", port_suffix=COMPOSE_PORT_SUFFIX) if tls else None,
    )


def machines(
    workers: Sequence[str],
    *,
    cluster_id: str,
    public_address: str = f":{PUBLIC_PORT}",
    watching_address: str = f"127.0.0.1:{WATCHING_PORT}",
    user: str = "",
    tls: Tls | None = None,
    proxies: Sequence[str] = (),
) -> Place:
    """Return the place of workers at these addresses (host:port), all of them expected.

    Every balancer needs the same addresses in the same order: it decides who serves a session.
    """
    servers = [
        haproxy.server_line(slot, address, expected=True) for slot, address in enumerate(workers)
    ]
    return Place(
        head="# Load balancer of a cluster on several machines, the same file on each balancer.",
        cluster_id=cluster_id,
        connections_bound=f"fd-hard-limit {FILES_MAX}",
        clients_max=str(CONNECTIONS_MAX),
        public_address=public_address,
        watching_address=watching_address,
        servers="\n".join(servers),
        resolved=any(map(_is_name, workers)),
        user=user,
        tls=tls,
        unless_proxy=haproxy.unless_proxy(proxies),
    )


def _is_name(address: str) -> bool:
    try:
        ipaddress.ip_address(address.rpartition(":")[0].strip("[]"))
    except ValueError:
        return True
    return False


def write(place: Place, folder: Path) -> None:
    """Write ``haproxy.cfg`` and the Lua beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files_of(place).items():
        (folder / name).write_text(text, "utf-8")


def files_of(place: Place) -> dict[str, str]:
    """Return all that HAProxy reads in this place, by file name."""
    return {"haproxy.cfg": haproxy.render(place), **haproxy.scripts()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the files for the workers that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m kotaemon_node.local.haproxy_places")
    parser.add_argument("folder", type=Path, help="where haproxy.cfg and its Lua are written")
    parser.add_argument("--cluster-id", required=True, help="CLUSTER_ID of the workers")
    parser.add_argument("--worker", action="append", required=True, metavar="HOST:PORT")
    parser.add_argument("--bind", default=f":{PUBLIC_PORT}", help="where clients come")
    parser.add_argument("--watch", default=f"127.0.0.1:{WATCHING_PORT}", help="checks and metrics")
    parser.add_argument("--user", default="", help="what root becomes; its group is called so, too")
    parser.add_argument("--tls-folder", default="", help="holds tls.crt and tls.key: --bind is TLS")
    parser.add_argument("--hsts", type=int, default=HSTS_S, help="seconds; 0: none (with TLS)")
    parser.add_argument("--plain-bind", default="", help="where http is led to https (with TLS)")
    parser.add_argument(
        "--trusted-proxy", action="append", default=[], metavar="NETWORK", help="its word is taken"
    )
    wanted = parser.parse_args(arguments)
    if wanted.plain_bind and not wanted.tls_folder:
        parser.error("--plain-bind leads to https: give --tls-folder as well")
    place = machines(
        wanted.worker,
        cluster_id=wanted.cluster_id,
        public_address=wanted.bind,
        watching_address=wanted.watch,
        user=wanted.user,
        tls=_machine_tls(wanted) if wanted.tls_folder else None,
        proxies=wanted.trusted_proxy,
    )
    write(place, wanted.folder)


def _machine_tls(wanted: argparse.Namespace) -> Tls:
    host, _, port = wanted.bind.rpartition(":")
    return Tls(
        folder=wanted.tls_folder.rstrip("/"),
        try_host=own_host(host),
        try_port=port,
        hsts_s=str(wanted.hsts or ""),
        plain_address=wanted.plain_bind,
        port_suffix=port_suffix(port),
    )


if __name__ == "__main__":
    main()
