"""The sample shop beside a cluster that was given nothing else: its orders, and its plugins."""

import os
import shutil
from pathlib import Path
from typing import Final

from kotaemon_node.local.cluster import Cluster
from kotaemon_node.local.places import sample_folder

_WRITTEN: Final = "127.0.0.1:8090"
"""Where the manifests of the sample plugins look for the shop."""


def sample_shop() -> Path | None:
    """Return the folder with the sample shop's program; None where it was not installed."""
    folder = sample_folder()
    return folder if (folder / "shop" / "__main__.py").is_file() else None


def begin_plugins(folder: Path, cluster: Cluster, before: Cluster | None) -> None:
    """Make a cluster's own plugin folder; the first time with the plugins of the sample shop.

    ``before``: the cluster as it was started last, perhaps with other ports. What somebody changed
    or removed since then stays so.
    """
    sample = sample_shop()
    address = _address(cluster)
    known = _address(before) if before is not None and before.shop else address
    if not folder.exists():
        known = _WRITTEN
        coming = folder.with_name(f".{folder.name}.coming")
        shutil.rmtree(coming, ignore_errors=True)
        coming.mkdir()
        for path in sorted((sample / "plugins").glob("order_*")) if sample else ():
            if path.is_file():
                shutil.copy(path, coming / path.name)
        coming.rename(folder)
    if known == address:
        return
    for path in folder.glob("order_*.yaml"):
        text = path.read_text("utf-8")
        if known in text:
            path.write_text(text.replace(known, address), "utf-8")


def shop_environment() -> dict[str, str]:
    """Return where the shop's program is, and who asks it where nobody says who they are."""
    user = os.environ.get("OPEN_USER") or "demo"
    return {"KOTAEMON_SAMPLE": str(sample_shop()), "OPEN_USER": user}


def _address(cluster: Cluster) -> str:
    return f"127.0.0.1:{cluster.shop_port}"
