"""``kotaemon encryption``: the keys under which a cluster keeps what users and models wrote."""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from kotaemon_node.adapters.redis import RedisDataKeys, RedisStore
from kotaemon_node.adapters.sealing import CopiesInArtifacts, KeyKeeper
from kotaemon_node.adapters.store.factory import here
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.backup.format import BackupRefused
from kotaemon_node.cli.audit_places import record
from kotaemon_node.cli.backup_places import (
    Place,
    backups_at,
    folder_below,
    held,
    place_below,
    place_of,
)
from kotaemon_node.cli.cluster import DataOption, folder_of
from kotaemon_node.cli.console import err, out
from kotaemon_node.cli.encryption_showing import keys_table, looking, rows_of
from kotaemon_node.cli.encryption_uses import uses_of
from kotaemon_node.cli.service import ServiceError
from kotaemon_node.cli.turn_log import reaching
from kotaemon_node.cli.turn_log_texts import opened_lines
from kotaemon_node.composition.buses import bus_of
from kotaemon_node.composition.sealing import masters_of, sealing_of, tell_keys_changed
from kotaemon_node.domain.data_keys import DataKeyTable
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.domain.sealing_limits import DATA_KEYS_KNOWN_S
from kotaemon_node.local import encryption as files
from kotaemon_node.local import places
from kotaemon_node.local.errors import LocalError
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.data_keys import MasterKeys
from kotaemon_node.settings import Settings

app = typer.Typer(help="Keys under which a cluster keeps what users and models wrote.")

_DATA = places.data_folder()
_CLOCK = SystemClock()

TenantOption = Annotated[str, typer.Option("--tenant", help="Whose keys.")]
BackupOption = Annotated[
    list[str],
    typer.Option("--backup", help="Also at this destination of backups; may be repeated."),
]


@app.callback()
def _encryption() -> None:
    """Keys under which a cluster keeps what users and models wrote."""


@app.command("new-key")
def new_key(
    path: Annotated[
        Path | None, typer.Argument(help="The file; by default that of the data folder.")
    ] = None,
    *,
    last: Annotated[
        bool,
        typer.Option("--last", help="As the last line: pods know it, and use it for nothing yet."),
    ] = False,
    data: DataOption = _DATA,
) -> None:
    """Write a new master key into a file, above those that are there."""
    chosen = path.expanduser() if path else files.file_of(folder_of(data))
    try:
        files.add_key(chosen, last=last)
    except (OSError, ValueError) as error:
        raise LocalError(f"{error}.") from error
    err.print(
        f"{chosen} has a new master key. Keep a copy elsewhere: without it, nothing that was sealed"
        " can ever be read again, backups included. Give it to all pods and the coordinator as"
        " ENCRYPTION_KEY_FILE.",
        soft_wrap=True,
    )


@app.command()
def status(
    data: DataOption = _DATA,
    uses: Annotated[
        bool,
        typer.Option(
            "--uses",
            help="Look through Redis and the archive, and say which keys nothing needs any more.",
        ),
    ] = False,
    *,
    backup: BackupOption = [],  # noqa: B006 - typer's
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the master keys that are known here, and the data keys of each tenant.

    A key that gave way still opens what it had sealed. --uses counts that, with --backup also in
    backups; a key of which nothing is left may be dropped with `kotaemon encryption shred --key`.
    """
    with _place(data) as at, ExitStack() as stack:
        tables, ids = at.keeper().tables(), list(at.masters.ids())
        found = None
        if uses or backup:
            stores = {one: _backups_of(backup, one, stack) for one in tables}
            with looking() as told:
                found = uses_of(tables, at.redis, at.artifacts, stores, told)
    rows = rows_of(tables, found, now_s=_CLOCK.now_s())
    if as_json:
        print(json.dumps({"masters": ids, "tenants": rows}, indent=2))
        return
    err.print(f"Master keys known here, the one that wraps first: {', '.join(ids)}.")
    table = keys_table(rows, ids)
    out.print(table) if table.row_count else err.print("There are no data keys yet.")
    if found is not None and not backup:
        err.print(
            "Backups were not looked through: name each destination with --backup before you drop"
            " a key, else what it sealed in them can never be read again.",
            soft_wrap=True,
        )


@app.command()
def rotate(tenant: TenantOption = "", *, data: DataOption = _DATA) -> None:
    """Make another data key for a tenant, or for all; those before still open."""
    with _place(data) as at:
        keeper = at.keeper()
        tenants = [checked_id("--tenant", tenant)] if tenant else list(keeper.tables())
        for one in tenants:
            record(data, "encryption.rotating", tenant=one)
            made = keeper.rotate(one)
            at.tell(one)
            record(data, "encryption.rotated", tenant=one, target=made.id)
            err.print(f"Tenant {one}: the data key {made.id} seals from now on.")
    if not tenants:
        err.print("There are no data keys yet: a tenant's first is made when something is sealed.")


@app.command()
def rewrap(backup: BackupOption = [], *, data: DataOption = _DATA) -> None:  # noqa: B006 - typer's
    """Wrap all data keys by the first master key, so that the ones below it can be taken out."""
    with _place(data) as at, _backups(backup) as stores:
        for tenant in at.keeper().tables():
            record(data, "encryption.rewrapping", tenant=tenant)
        done = at.keeper().rewrap([copies for store in stores.values() for copies in held(store)])
        for tenant in at.keeper().tables():
            at.tell(tenant)
            failed = sum(key.startswith(f"{tenant}/") for key in done.failed)
            told = {"failed": failed} if failed else {}
            record(data, "encryption.rewrapped", tenant=tenant, detail=told)
    err.print(f"{done.done} data keys were wrapped anew, {done.there} were already.")
    if done.failed:
        for key, reason in done.failed.items():
            err.print(f"{key}: {reason}", soft_wrap=True)
        raise ServiceError("Some data keys stay as they are; no master key may be taken out yet.")


@app.command()
def shred(
    tenant: Annotated[str, typer.Option("--tenant", help="Whose data.")],
    *,
    key: Annotated[
        list[str],
        typer.Option("--key", help="Only what these data keys sealed, as status names them."),
    ] = [],  # noqa: B006 - typer's
    backup: BackupOption = [],  # noqa: B006 - typer's
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: DataOption = _DATA,
) -> None:
    """Destroy the data keys of a tenant: what they sealed can never be read again, anywhere."""
    with _place(data) as at, _backups(backup) as stores:
        keeper = at.keeper()
        table = keeper.tables().get(checked_id("--tenant", tenant), DataKeyTable())
        # Those that were destroyed before, too: it may have stopped half-way.
        ids = sorted(key or {*table.rows, *table.destroyed})
        if unknown := set(ids) - table.rows.keys() - table.destroyed:
            raise LocalError(f"Tenant {tenant} has no data key {sorted(unknown)[0]}.")
        if not ids:
            raise LocalError(f"Tenant {tenant} has no data keys; nothing of it is sealed.")
        asked = f"Destroy {len(ids)} data keys of {tenant}? Nothing brings back what they sealed."
        if not yes and not typer.confirm(asked, err=True):
            raise typer.Exit(1)
        for one in ids:
            record(data, "encryption.shredding", tenant=tenant, target=one)
        keeper.destroy(tenant, ids)
        at.tell(tenant)
        missed = [url for url, store in stores.items() if not _destroyed_at(store, tenant, ids)]
        for one in ids if not missed else ():
            record(data, "encryption.shredded", tenant=tenant, target=one)
    if missed:
        again = " ".join([*(f"--key {one}" for one in ids), *(f"--backup {url}" for url in missed)])
        raise ServiceError(
            "The cluster's keys are destroyed, and not those at every destination. Once it can be"
            f" written: kotaemon encryption shred --tenant {tenant} {again}"
        )
    err.print(
        f"Destroyed: {', '.join(ids)}. Pods open nothing of it any more within"
        f" {DATA_KEYS_KNOWN_S:.0f} s. Copies of backups that were not named with --backup, and old"
        " versions that a bucket keeps, still hold the wrapped keys: they end with the master key"
        " that wrapped them (docs/how-to/encryption.md).",
        soft_wrap=True,
    )


@app.command("open")
def open_(
    file: Annotated[
        Path | None, typer.Argument(help="Lines of the log of turns; by default the input.")
    ] = None,
    *,
    data: DataOption = _DATA,
) -> None:
    """Print the log of turns with its texts opened, line by line."""
    with _place(data, writes=False) as at, ExitStack() as stack:
        lines = stack.enter_context(file.open(encoding="utf-8")) if file else sys.stdin
        sealing = sealing_of(
            at.settings, store=at.redis, artifacts=at.artifacts, clock=_CLOCK, native=here
        )
        for line in opened_lines(lines, sealing.cipher):
            print(line)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A cluster whose keys are looked after."""

    settings: Settings
    masters: MasterKeys
    redis: RedisStore
    artifacts: Any
    waiting: RedisStore

    def keeper(self) -> KeyKeeper:
        keys, copies = RedisDataKeys(self.redis), CopiesInArtifacts(self.artifacts)
        return KeyKeeper(keys, copies, self.masters, clock=_CLOCK)

    def tell(self, tenant: str) -> None:
        bus = bus_of(self.settings, store=self.redis, waiting=self.waiting, clock=_CLOCK)
        tell_keys_changed(bus, tenant, clock=_CLOCK, ids=RandomIds())


@contextmanager
def _place(data: Path, *, writes: bool = True) -> Iterator[_Opened]:
    """Lend the cluster that is meant, and turn errors of the product into sentences."""
    try:
        place: Place = place_of(data, None)
        path = files.used(folder_of(data), place.settings)
        settings = reaching(place.settings, data).model_copy(update={"encryption_key_file": path})
        masters = masters_of(settings)
        if masters is None:
            raise LocalError(
                "There is no master key: name its file with ENCRYPTION_KEY_FILE, or make one with"
                " `kotaemon encryption new-key` and start the cluster anew."
            )
        with place.artifacts(writes=writes) as artifacts:
            redis = place.redis()
            yield _Opened(settings, masters, redis, artifacts, place.redis())
    except BackupRefused as error:
        raise LocalError(str(error)) from error
    except NodeError as error:
        raise ServiceError(f"{error}.") from error
    except OSError as error:
        raise ServiceError(f"{error.filename or 'A file'}: {error.strerror or error}.") from error


@contextmanager
def _backups(urls: list[str]) -> Iterator[dict[str, ArtifactStore]]:
    with ExitStack() as stack:
        yield {
            url: stack.enter_context(backups_at(url, writes=True, endpoint="", region=""))
            for url in urls
        }


def _backups_of(urls: list[str], tenant: str, stack: ExitStack) -> list[ArtifactStore]:
    found: list[ArtifactStore] = []
    for url in urls:
        below = place_below(url, tenant)
        try:
            lent = backups_at(below, writes=False, endpoint="", region="")
            found.append(stack.enter_context(lent))
        except BackupRefused:
            if below == url:
                raise
            err.print(f"{url} has no backup of tenant {tenant}.", soft_wrap=True)
    return found


def _destroyed_at(store: ArtifactStore, tenant: str, ids: list[str]) -> bool:
    """Destroy keys wherever backups of the destination have them; False where it failed."""
    try:
        own = CopiesInArtifacts(store, under=folder_below(tenant))
        for copies in [own, *(it for it in held(store) if tenant in it.tenants())]:
            copies.destroy(tenant, ids)
    except (NodeError, OSError) as error:
        err.print(f"{error}", soft_wrap=True)
        return False
    return True
