"""Writes the balancer's files that the repository keeps: the chart's and docker compose's.

Run it after a change of kotaemon_node/local/haproxy.cfg.tmpl or of its Lua; a test fails until
then.
"""

from pathlib import Path
from typing import Final

from kotaemon_node.local import haproxy_places
from kotaemon_node.local.haproxy import Place

ROOT: Final = Path(__file__).resolve().parents[1]
KEPT: Final[dict[Path, Place]] = {
    ROOT / "helm" / "kotaemon" / "files": haproxy_places.chart(),
    ROOT / "deploy" / "haproxy": haproxy_places.compose(),
    ROOT / "deploy" / "haproxy-tls": haproxy_places.compose(tls=True),
}

if __name__ == "__main__":
    for folder, place in KEPT.items():
        haproxy_places.write(place, folder)
