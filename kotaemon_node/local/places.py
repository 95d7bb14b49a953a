"""Where things lie unless the user names another place."""

import os
import shutil
from pathlib import Path

import kotaemon_node


def data_folder() -> Path:
    """State of the cluster of the folder one stands in."""
    return Path(".data")


def checkout() -> Path | None:
    """Return the root of the source tree that this program runs from; None when installed."""
    root = Path(kotaemon_node.__file__).resolve().parents[1]
    return root if (root / "pyproject.toml").is_file() else None


def sample_folder() -> Path:
    """Return where the sample shop is: in the checkout, else beside the installed program."""
    return (checkout() or Path(kotaemon_node.__file__).resolve().parent) / "sample"


def sample_knowledge() -> Path | None:
    """Return the sample shop's documents; None where they were not installed."""
    folder = sample_folder() / "knowledge"
    return folder if folder.is_dir() else None


def begin_knowledge(folder: Path) -> None:
    """Make a cluster's own knowledge folder; the first time the sample shop is copied into it.

    A copy, because uploads and deletions change the folder. Raises ``OSError``.
    """
    sample = sample_knowledge()
    if folder.exists() or sample is None:
        folder.mkdir(exist_ok=True)
        return
    coming = folder.with_name(f".{folder.name}.coming")
    shutil.rmtree(coming, ignore_errors=True)
    shutil.copytree(sample, coming)
    coming.rename(folder)  # whole or not at all, also where this is interrupted


def models_folder() -> Path:
    """Return where encoder weights are kept: in the checkout, else in the user's cache."""
    root = checkout()
    if root:
        return root / ".models"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "kotaemon" / "models"


def kafka_folder() -> Path:
    """Return where the jars of the Kafka broker are kept: in the checkout, else in the cache."""
    root = checkout()
    if root:
        return root / ".kafka"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "kotaemon" / "kafka"
