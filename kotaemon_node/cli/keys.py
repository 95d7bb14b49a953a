"""``kotaemon keys``: who may use a cluster of ``AUTH_MODE=keys``."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from kotaemon_node.adapters.redis import RedisApiKeys, connect
from kotaemon_node.adapters.system.ids import random_letters
from kotaemon_node.cli.audit_places import record
from kotaemon_node.cli.cluster import DataOption, folder_of
from kotaemon_node.cli.console import err, out
from kotaemon_node.cli.service import ServiceError
from kotaemon_node.domain import credentials, limits
from kotaemon_node.domain.audit import Detail
from kotaemon_node.domain.credentials import ApiKey, Role
from kotaemon_node.domain.errors import NodeError, StoreUnavailable
from kotaemon_node.domain.ids import DEFAULT_TENANT, checked_tenant
from kotaemon_node.local import cluster as clusters
from kotaemon_node.local import places, preflight, redis_users
from kotaemon_node.local.errors import LocalError

app = typer.Typer(help="API keys: who may use a cluster that was started with AUTH_MODE=keys.")

_DATA = places.data_folder()
_UNITS_S: Final = {"m": 60, "h": 3600, "d": 86_400, "y": 365 * 86_400}
_YEARS_MAX: Final = 100


@app.callback()
def _keys() -> None:
    """API keys: who may use a cluster that was started with AUTH_MODE=keys."""


@app.command()
def create(
    role: Annotated[Role, typer.Option(help="What it may do.")],
    tenant: Annotated[str, typer.Option(help="Whose data it opens.")] = DEFAULT_TENANT,
    user: Annotated[
        str | None,
        typer.Option(help="Whose sessions it opens; without it, its own and nobody else's."),
    ] = None,
    *,
    expires: Annotated[
        str, typer.Option(help="When it ends, from now: 30m, 12h, 90d, 1y.", show_default="never")
    ] = "",
    label: Annotated[str, typer.Option(help="What it is for, to know it again.")] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Narrow it to a group of routes: {', '.join(credentials.SCOPES)}; may be"
            " repeated.",
            show_default="all that the role may",
        ),
    ] = None,
    data: DataOption = _DATA,
) -> None:
    """Make a key and print it: the only time that anybody sees it."""
    now_s = time.time()
    key_id = random_letters(credentials.KEY_ID_CHARS)
    text = _text(key_id)
    if len(label) > limits.API_KEY_LABEL_CHARS_MAX:
        raise LocalError(f"A label has at most {limits.API_KEY_LABEL_CHARS_MAX} characters.")
    ends_s = None if not expires else now_s + _seconds(expires)
    with _told():
        key = ApiKey(
            id=key_id,
            digest=credentials.digest_of(text),
            tenant=checked_tenant("--tenant", tenant),
            role=role,
            subject=credentials.subject_of(user, key_id),
            created_at=now_s,
            expires_at=ends_s,
            label=label,
            scopes=credentials.scopes_of(scope or ()),
        )
        _store(data).add(key)
        told: dict[str, Detail] = {"role": role, "subject": key.subject, "label": label}
        record(data, "key.created", tenant=tenant, target=key_id, detail=told)
    narrowed = f", only {' and '.join(key.scopes)}" if key.scopes else ""
    err.print(
        f"Key {key_id}: {role} of tenant {tenant}{narrowed}, {_end(key, now_s)}. It is shown this"
        " once;"
        f" the pods know it within {limits.API_KEYS_KNOWN_S:.0f} s.",
        soft_wrap=True,
    )
    print(text)


@app.command()
def rotate(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `kotaemon keys list` shows it.")],
    *,
    overlap: Annotated[
        str, typer.Option(help="For how long the present secret counts: 30m, 24h, 7d, or 0.")
    ] = "24h",
    data: DataOption = _DATA,
) -> None:
    """Give a key another secret and print it; the present one counts a while longer.

    Sessions, user, role, scopes and end stay as they are.
    """
    now_s = time.time()
    # The whole key is what people have at hand; its id stands in it.
    wanted = credentials.key_id_of(key_id) or key_id
    overlap_s = 0.0 if overlap.strip() == "0" else _seconds(overlap, option="--overlap")
    text = _text(wanted)
    with _told():
        store = _store(data)
        before = store.table(None).keys.get(wanted)
        if before is None:
            raise LocalError(f"There is no key {wanted}; `kotaemon keys list` shows what there is.")
        if before.expired(now_s):
            raise LocalError(f"Key {wanted} has ended; make another with `kotaemon keys create`.")
        digest = credentials.digest_of(text)
        after = before.rotated(digest, now_s=now_s, overlap_s=overlap_s)
        store.replace(before, after)
        told: dict[str, Detail] = {"overlap_s": overlap_s}
        record(data, "key.rotated", tenant=before.tenant, target=wanted, detail=told)
    lives = f"counts until {_day(after.previous_until)}" if after.previous_until else "ends now"
    err.print(
        f"Key {wanted} has another secret, shown this once; the one before {lives}. The pods know"
        f" it within {limits.API_KEYS_KNOWN_S:.0f} s.",
        soft_wrap=True,
    )
    print(text)


@app.command("list")
def list_keys(
    data: DataOption = _DATA,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the keys; admin keys from ADMIN_KEY or ADMIN_KEY_FILE are not among them."""
    with _told():
        found = sorted(_store(data).table(None).keys.values(), key=lambda key: key.created_at)
    if as_json:
        print(json.dumps([_row(key) for key in found], indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "tenant", "role", "user", "made", "ends", "scopes", "label"):
        table.add_column(heading, no_wrap=heading == "id")
    now_s = time.time()
    for key in found:
        shown = [key.id, key.tenant, key.role, key.subject, _day(key.created_at)]
        table.add_row(*shown, _end(key, now_s), " ".join(key.scopes) or "all", key.label)
    out.print(table) if found else err.print("There are no keys.")


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `kotaemon keys list` shows it.")],
    data: DataOption = _DATA,
) -> None:
    """End a key, and whoever is logged in by it."""
    # The whole key is what people have at hand; its id stands in it.
    wanted = credentials.key_id_of(key_id) or key_id
    with _told():
        store = _store(data)
        before = store.table(None).keys.get(wanted)
        there = store.remove(wanted)
        if there:
            tenant = before.tenant if before else DEFAULT_TENANT
            record(data, "key.revoked", tenant=tenant, target=wanted)
    if not there:
        raise LocalError(f"There is no key {wanted}; `kotaemon keys list` shows what there is.")
    err.print(f"Key {wanted} ends within {limits.API_KEYS_KNOWN_S:.0f} s on every pod.")


def _store(data: Path) -> RedisApiKeys:
    """Return the keys of REDIS_URL, as in a pod's container, or of the cluster in a data folder."""
    settings = preflight.read_settings()
    named = "redis_url" in settings.model_fields_set and data == _DATA
    cluster = None if named else clusters.load(folder_of(data))
    if named:
        url = settings.redis_url
    elif cluster is not None:
        url = redis_users.url_of(cluster, "backup")
    else:
        raise LocalError(
            "There is no cluster in the data folder; start one with `kotaemon up`, name one with"
            " --data, or say where its sessions are kept with REDIS_URL."
        )
    try:
        return RedisApiKeys(connect(url, durability=settings.durability))
    except ValueError as error:
        raise LocalError(f"{error}.") from error


@contextmanager
def _told() -> Iterator[None]:
    """Turn errors of the product into sentences."""
    try:
        yield
    except StoreUnavailable as error:
        raise ServiceError(
            "The session store, which keeps the keys, does not answer or takes no writes; is the"
            " cluster running? `kotaemon ps` shows."
        ) from error
    except NodeError as error:
        raise LocalError(f"{error}.") from error


def _text(key_id: str) -> str:
    return credentials.printed(key_id, random_letters(credentials.KEY_SECRET_CHARS))


def _seconds(text: str, *, option: str = "--expires") -> float:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhdy])", text.strip().lower())
    seconds = int(found[1]) * _UNITS_S[found[2]] if found else 0
    if not 0 < seconds <= _YEARS_MAX * _UNITS_S["y"]:
        raise LocalError(
            f"{option} {text!r} is no time; write 30m, 12h, 90d or 1y, {_YEARS_MAX}y at most."
        )
    return seconds


def _row(key: ApiKey) -> dict[str, Any]:
    """Return what is told of a key; its digest is of no use to anybody."""
    names = ("id", "tenant", "role", "subject", "created_at", "expires_at", "label", "scopes")
    until = key.previous_until or None
    return {**{name: getattr(key, name) for name in names}, "previous_secret_until": until}


def _end(key: ApiKey, now_s: float) -> str:
    if key.expires_at is None:
        return "never ends"
    return f"{'ended' if key.expired(now_s) else 'ends'} {_day(key.expires_at)}"


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
