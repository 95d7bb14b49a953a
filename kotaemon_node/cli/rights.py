"""``kotaemon rights``: the users of Redis and Kafka, with no more than each part needs."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

from kotaemon_node.adapters.kafka.address import KafkaAddress
from kotaemon_node.adapters.kafka.client import FAILURES, administrator
from kotaemon_node.adapters.kafka.handshake import tls_problem
from kotaemon_node.adapters.kafka.rights import Role as KafkaRole
from kotaemon_node.adapters.kafka.rights import grant, make_users
from kotaemon_node.adapters.redis import rights
from kotaemon_node.cli.console import err
from kotaemon_node.local import preflight
from kotaemon_node.local.errors import LocalError

app = typer.Typer(
    help="Users of Redis and Kafka with least rights.", no_args_is_help=True, add_completion=False
)
_PLACE: Final = "#SHA256_OF_THE_PASSWORD_OF_{}"
_AGAIN_S: Final = 1.0


@app.command()
def redis(
    newer: Annotated[
        bool, typer.Option("--newer", help="For Redis 7.2; 7.0 does not know all commands.")
    ] = False,
) -> None:
    """Print a line for each part's user, for Redis's aclfile; fill the passwords' digests in."""
    for role in rights.ROLES:
        name = role.upper().replace("-", "_")
        print(rights.acl_line(role, _PLACE.format(name), newer=newer))


@app.command()
def kafka(
    worker: Annotated[str, typer.Option(help="User of the workers.")] = "worker",
    coordinator: Annotated[str, typer.Option(help="User of the coordinators.")] = "coordinator",
    turn_log: Annotated[str, typer.Option(help="User of the log of turns.")] = "turn-log",
    passwords: Annotated[
        Path | None,
        typer.Option(
            help="Make these users, too (SCRAM-SHA-512): a folder with a file for each, which is"
            " named as the user and holds its password."
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for brokers that do not answer yet.")
    ] = 0,
) -> None:
    """Grant each part's user its rights, as the user of KAFKA_USERNAME; may be repeated."""
    try:
        address = KafkaAddress.of(preflight.read_settings())
    except ValueError as error:
        raise LocalError(f"{error}.") from error
    users: dict[KafkaRole, str] = {
        "worker": worker,
        "coordinator": coordinator,
        "turn-log": turn_log,
    }
    made = _passwords(passwords, users.values()) if passwords is not None else {}
    try:
        _await(address, wait)
        with administrator(address) as admin:
            if made:
                make_users(admin, made)
            for role, user in users.items():
                err.print(f"{user}: {grant(admin, role, user)} rules of {role}")
    except FAILURES as error:
        reason = tls_problem(address) or str(error) or type(error).__name__
        raise LocalError(
            f"Kafka at {', '.join(address.servers)} did not take the rights: {reason}. The user"
            " must be allowed to alter the cluster, and the brokers need an authorizer."
        ) from error


def _passwords(folder: Path, users: Iterable[str]) -> dict[str, str]:
    found = {}
    for user in users:
        try:
            password = (folder / user).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise LocalError(
                f"The password of {user} cannot be read from {folder / user}: {reason}."
            ) from error
        if not password:
            raise LocalError(f"{folder / user} holds no password.")
        found[user] = password
    return found


def _await(address: KafkaAddress, wait_s: float) -> None:
    """Return when a broker answers, or raise why not when the time is over."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            with administrator(address) as admin:
                admin.describe_cluster()
        except FAILURES:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_AGAIN_S)
        else:
            return
