"""The balancer's files of all places are one file, filled in differently."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from kotaemon_node.local import config, haproxy, haproxy_places
from kotaemon_node.local.cluster import WORKER_SLOTS, Cluster
from kotaemon_node.local.haproxy_tls import HSTS_S, Tls
from scripts.haproxy_files import KEPT
from tests.certificates import Authority

CLUSTER = Cluster(
    cluster_id="0123abcd",
    folder="/data",
    first_port=21_000,
    port=8080,
    host="127.0.0.1",
    workers=3,
    redis_url="",
)
KUBERNETES = haproxy_places.kubernetes("shop-kotaemon", namespace="prod", workers=3)
MACHINES = haproxy_places.machines(
    ["10.0.0.21:8000", "[fd00::22]:8000"], cluster_id="shop", public_address=":80", user="root"
)
ENCRYPTED = haproxy_places.kubernetes("shop-kotaemon", namespace="prod", workers=3, tls=True)
PLACES = {
    "kubernetes": KUBERNETES,
    "kubernetes, TLS": ENCRYPTED,
    "compose": haproxy_places.compose(),
    "compose, TLS": haproxy_places.compose(tls=True),
    "machines": MACHINES,
    "machines, TLS": replace(
        MACHINES,
        tls=Tls(
            folder=haproxy_places.TLS_FOLDER,
            try_host="127.0.0.1",
            try_port="8443",
            hsts_s=str(HSTS_S),
            plain_address=":80",
            address=":8443",
        ),
    ),
}
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.parent.name)
def test_what_the_repository_keeps_is_what_the_template_makes(folder: Path) -> None:
    for name, text in haproxy_places.files_of(KEPT[folder]).items():
        assert (folder / name).read_text("utf-8") == text, "run scripts/haproxy_files.py"


@pytest.mark.parametrize("place", PLACES)
def test_haproxy_accepts_each_place(tmp_path: Path, place: str) -> None:
    # Names need no lookup here: a name server of this machine is no part of the file.
    text = haproxy.render(PLACES[place]).replace("last,libc,none", "none")
    haproxy_places.write(PLACES[place], tmp_path)
    pair = Authority(tmp_path / "authority").pair()
    shutil.copy(pair.certificate, tmp_path / "tls.crt")
    shutil.copy(pair.key, tmp_path / "tls.key")
    text = text.replace(haproxy_places.TLS_FOLDER, str(tmp_path))
    (tmp_path / "haproxy.cfg").write_text(text)

    verdict = subprocess.run(
        ["haproxy", "-c", "-f", str(tmp_path / "haproxy.cfg")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert verdict.returncode == 0, verdict.stderr
    assert "WARNING" not in verdict.stderr


def rules(text: str) -> list[str]:
    """Return what a file makes of requests: everything but what a place may fill in."""
    body = text[text.index("    unique-id-format") :]
    own = r"server |bind |maxconn |default-server resolvers|parse-resolv|accepted_|resolve_"
    own += r"|timeout re|hold "
    lines = [line.strip() for line in body.splitlines()]
    kept = [line for line in lines if line and not re.match(own, line) and line[0] != "#"]
    # Where clients are led to by its port, and whether they are told to remember it.
    kept = [re.sub(r"(txn.name\)\]):[^%]+", r"\1", line) for line in kept]
    kept = [line for line in kept if "Strict-Transport-Security" not in line]
    return [re.sub(r"/balancer/[\w-]+", "/balancer/ID", line) for line in kept]


@pytest.mark.parametrize("place", PLACES)
def test_requests_are_treated_alike_everywhere(place: str) -> None:
    cluster = CLUSTER
    if PLACES[place].tls:
        cluster = replace(CLUSTER, tls=True, hsts_s=HSTS_S, http_port=8081)
    local = rules(config.haproxy_config(cluster, open_files_max=20_000))
    here = [line for line in rules(haproxy.render(PLACES[place])) if line != "resolvers names"]

    assert here == local
    assert len(local) > 40


def test_in_kubernetes_a_server_is_an_ordinal_and_only_some_are_expected_at_the_start() -> None:
    text = haproxy.render(KUBERNETES)

    servers = re.findall(r"^    server (\S+) (\S+) id (\d+)(.*)$", text, re.M)

    domain = "shop-kotaemon-worker.prod.svc.cluster.local:8000"
    assert servers == [
        (
            f"worker-{slot}",
            f"shop-kotaemon-worker-{slot}.{domain}",
            str(slot + 1),
            "" if slot < 3 else " weight 0 init-addr none",
        )
        for slot in range(WORKER_SLOTS)
    ]
    assert "stats socket" not in text


@pytest.mark.parametrize("place", ["kubernetes", "kubernetes, TLS"])
def test_helm_makes_of_the_charts_file_what_is_tested_here(tmp_path: Path, place: str) -> None:
    chart = ROOT / "helm" / "kotaemon"
    shutil.copytree(chart / "files", tmp_path / "files")
    (tmp_path / "templates").mkdir()
    for name in ("Chart.yaml", "values.yaml", "templates/_names.tpl"):
        shutil.copy(chart / name, tmp_path / name)
    (tmp_path / "templates" / "file.yaml").write_text(
        'text: |\n  {{- tpl (.Files.Get "files/haproxy.cfg") . | nindent 2 }}\n'
    )

    # Prints where it is; scripts/install.sh has seen to it.
    helm = subprocess.run(
        ["sh", "scripts/helm.sh"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    rendered = subprocess.run(
        [
            *(helm, "template", "shop", str(tmp_path), "-n", "prod", "--kube-version", "1.33.0"),
            *("--set", f"tls.enabled={'true' if PLACES[place].tls else 'false'}"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert yaml.safe_load(rendered.stdout)["text"] == haproxy.render(PLACES[place])


def test_machines_that_are_named_by_addresses_need_no_name_server() -> None:
    assert "resolvers" not in haproxy.render(MACHINES)
    named = haproxy_places.machines(["worker-a.example:8000"], cluster_id="shop")
    assert "parse-resolv-conf" in haproxy.render(named)


def test_the_command_writes_the_files_for_workers_in_their_order(tmp_path: Path) -> None:
    addresses = ["10.0.0.22:8000", "10.0.0.21:8000"]
    workers = [word for address in addresses for word in ("--worker", address)]

    haproxy_places.main(["--cluster-id", "shop", "--bind", ":80", *workers, str(tmp_path / "new")])

    text = (tmp_path / "new" / "haproxy.cfg").read_text()
    assert re.findall(r"^    server (\S+) (\S+) id (\d+)$", text, re.M) == [
        ("worker-0", "10.0.0.22:8000", "1"),
        ("worker-1", "10.0.0.21:8000", "2"),
    ]
    assert (tmp_path / "new" / "first_check.lua").exists()
    assert "    user " not in text
