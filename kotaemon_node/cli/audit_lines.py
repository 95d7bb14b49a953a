"""What ``kotaemon audit verify`` reads from files: exported lines, and logs of processes."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kotaemon_node.audit_log.exported import ExportedLines
from kotaemon_node.audit_log.findings import Verification
from kotaemon_node.audit_log.heads import SeenByChain, read_heads
from kotaemon_node.cli.cluster import folder_of
from kotaemon_node.composition.audited import audit_keys
from kotaemon_node.local import audit_key, preflight
from kotaemon_node.local.errors import LocalError


def verified_lines(
    name: str, heads: Mapping[str, SeenByChain], data: Path
) -> Sequence[Verification]:
    """Verify the lines of a file, ``-`` being the input, with nothing but the keys."""
    settings = audit_key.known(folder_of(data), preflight.read_settings())
    try:
        keys = audit_keys(settings)()
    except ValueError as error:
        raise LocalError(f"{error}.") from error
    with _opened(name) as lines:
        found = ExportedLines(keys=keys, heads=heads).take_all(lines)
    if not found:
        raise LocalError(f"{name} has no lines: `kotaemon audit export` prints them.")
    return found


def heads_of(paths: Sequence[Path]) -> Mapping[str, SeenByChain]:
    """Return how far the logs of processes say that the audit log went."""

    def lines() -> Iterator[bytes]:
        for path in paths:
            with _opened(str(path)) as file:
                yield from file

    found = read_heads(lines())
    if paths and not found:
        raise LocalError(
            f"{paths[0]} has no line audit_head: give it the log of pods or the coordinator, as"
            " they printed it (JSON lines)."
        )
    return found


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(name).expanduser().open("rb") as file:
            yield file
    except OSError as error:
        raise LocalError(f"{name} cannot be read: {error.strerror or error}.") from error
