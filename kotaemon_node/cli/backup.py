"""``backup``: copies knowledge and sessions elsewhere; its commands look after what lies there."""

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer

from kotaemon_node.adapters.redis import RedisPlugins
from kotaemon_node.adapters.sealing import CopiesInArtifacts
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.backup.format import Backup, BackupRefused, Kind
from kotaemon_node.backup.keeping import prune as prune_backups
from kotaemon_node.backup.keeping import verify as verify_backup
from kotaemon_node.backup.knowledge import KnowledgeCopying
from kotaemon_node.backup.making import Making, Source
from kotaemon_node.backup.plugins import PluginsCopying
from kotaemon_node.backup.sessions import SessionsCopying
from kotaemon_node.backup.shelf import Shelf
from kotaemon_node.backup.writing import LEASE_S
from kotaemon_node.cli.audit_places import record
from kotaemon_node.cli.backup_places import backups_at, parts_of, place_below, place_of
from kotaemon_node.cli.backup_showing import (
    as_json,
    backups_table,
    print_json,
    show_backup,
    show_verified,
    showing,
)
from kotaemon_node.cli.cluster import DataOption
from kotaemon_node.cli.console import complain, err, out
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.local import places

_DATA: Final = places.data_folder()
_ALL: Final = "knowledge,sessions"

UrlOption = Annotated[
    str,
    typer.Option(
        "--to",
        "--from",
        envvar="BACKUP_URL",
        help="Where backups lie: file:///folder or s3://bucket/prefix.",
    ),
]
EndpointOption = Annotated[
    str, typer.Option("--s3-endpoint", envvar="BACKUP_S3_ENDPOINT", help="Another server than AWS.")
]
RegionOption = Annotated[
    str, typer.Option("--s3-region", envvar="BACKUP_S3_REGION", help="Its region.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
WhatOption = Annotated[str, typer.Option("--what", help="knowledge, sessions, or both.")]
KnowledgeOption = Annotated[
    Path | None, typer.Option("--knowledge", help="The knowledge folder, where it is another.")
]
WithoutOption = Annotated[
    bool, typer.Option("--without-documents", help="Leave the knowledge folder out.")
]
TenantOption = Annotated[
    str, typer.Option("--tenant", help="Whose: its backups lie below tenants/ of the destination.")
]
AtOption = Annotated[str, typer.Option("--at", help="Id of a backup; by default the newest.")]

app = typer.Typer(
    invoke_without_command=True,
    help="Copy knowledge and sessions elsewhere, while the cluster works.",
)


def required(url: str) -> str:
    """Return the destination; ``BackupRefused`` where none was given."""
    if not url:
        raise BackupRefused(
            "Say where backups lie: --to file:///folder or --to s3://bucket/prefix (or BACKUP_URL)."
        )
    return url


def wanted(shelf: Shelf, at: str) -> Backup:
    """Return the backup ``at``, or the newest one."""
    if at:
        return shelf.backup(at)
    ids = shelf.ids()
    if not ids:
        raise BackupRefused("There is no backup here; `kotaemon backup --to …` makes one.")
    return shelf.backup(ids[-1])


@app.callback()
def backup(
    context: typer.Context,
    to: UrlOption = "",
    full: Annotated[
        bool | None,
        typer.Option(
            "--full/--incremental",
            help="Copy everything anew and trust nothing, or only what changed.",
            show_default="incremental where there is a backup",
        ),
    ] = None,
    *,
    what: WhatOption = _ALL,
    json_: JsonOption = False,
    knowledge: KnowledgeOption = None,
    without_documents: WithoutOption = False,
    pause_ms: Annotated[
        int, typer.Option(min=0, help="Rest after each hundred sessions, to spare Redis.")
    ] = 20,
    tenant: TenantOption = DEFAULT_TENANT,
    endpoint: EndpointOption = "",
    region: RegionOption = "",
    data: DataOption = _DATA,
) -> None:
    """Copy knowledge and sessions elsewhere, while the cluster works.

    Run again after an interruption, it goes on where it was.
    """
    context.obj = to
    if context.invoked_subcommand is not None:
        return
    kind: Kind | None = None if full is None else "full" if full else "incremental"
    clock = SystemClock()
    with showing() as tell:
        url, parts = required(to), parts_of(what)
        place = place_of(data, knowledge, tenant)
        with (
            backups_at(
                place_below(url, tenant), writes=True, endpoint=endpoint, region=region
            ) as store,
            place.artifacts(writes=False) as artifacts,
        ):
            redis = place.redis()
            copying = SessionsCopying(
                place.sessions(redis),
                artifacts,
                tenant=tenant,
                clock=clock,
                pause_s=pause_ms / 1000,
            )
            documents = None if without_documents else place.knowledge
            keeper = place.keeper(redis, artifacts)
            source = Source(
                sessions=copying,
                knowledge=KnowledgeCopying(artifacts, documents=documents, tenant=tenant),
                product=version("kotaemon-cluster"),
                cluster=place.cluster_id,
                tenant=tenant,
                plugins=PluginsCopying(RedisPlugins(redis), artifacts, tenant=tenant),
                copy_keys=lambda to: keeper.copy_to(CopiesInArtifacts(to), tenant),
            )
            making = Making(source, store, clock=clock, ids=RandomIds())
            made = making.run(kind=kind, what=parts, tell=tell, lease_s=LEASE_S)
            told = {"to": place_below(url, tenant), "what": ",".join(made.what)}
            record(data, "backup.made", tenant=made.tenant, target=made.id, detail=told)
    print_json(as_json(made)) if json_ else show_backup(made)


@app.command("list")
def list_(
    context: typer.Context,
    to: UrlOption = "",
    *,
    json_: JsonOption = False,
    tenant: TenantOption = DEFAULT_TENANT,
    endpoint: EndpointOption = "",
    region: RegionOption = "",
) -> None:
    """List the backups that are whole, oldest first."""
    with (
        showing(),
        backups_at(
            place_below(required(to or context.obj), tenant),
            writes=False,
            endpoint=endpoint,
            region=region,
        ) as store,
    ):
        shelf = Shelf(store)
        found = list(shelf.backups())
        unreadable = sorted(set(shelf.ids()) - {it.id for it in found})
    for backup_id in unreadable:
        complain(f"The manifest of {backup_id} cannot be read; `backup verify --at` says why.")
    if json_:
        print_json([as_json(it) for it in found])
    elif found:
        out.print(backups_table(found))
    else:
        err.print("There is no backup here.")


@app.command()
def verify(
    context: typer.Context,
    to: UrlOption = "",
    *,
    at: AtOption = "",
    all_: Annotated[bool, typer.Option("--all", help="Every backup, not the newest only.")] = False,
    json_: JsonOption = False,
    tenant: TenantOption = DEFAULT_TENANT,
    endpoint: EndpointOption = "",
    region: RegionOption = "",
) -> None:
    """Read every byte of a backup again; ends with 1 where something is damaged."""
    with showing() as tell:
        url = place_below(required(to or context.obj), tenant)
        with backups_at(url, writes=False, endpoint=endpoint, region=region) as store:
            shelf = Shelf(store)
            chosen = shelf.ids() if all_ else [wanted(shelf, at).id]
            found = [verify_backup(store, it, tell) for it in chosen]
    print_json([asdict(it) for it in found]) if json_ else show_verified(found)
    if any(it.problems for it in found):
        raise typer.Exit(1)


@app.command()
def prune(
    context: typer.Context,
    to: UrlOption = "",
    *,
    keep: Annotated[int, typer.Option("--keep", help="How many of the newest stay.")] = 7,
    json_: JsonOption = False,
    tenant: TenantOption = DEFAULT_TENANT,
    endpoint: EndpointOption = "",
    region: RegionOption = "",
) -> None:
    """Remove old backups, and what none of those that stay needs."""
    with showing():
        url = place_below(required(to or context.obj), tenant)
        with backups_at(url, writes=True, endpoint=endpoint, region=region) as store:
            holder = f"prune-{RandomIds().new_id()[:8]}"
            removed, blobs = prune_backups(
                store, keep=keep, holder=holder, clock=SystemClock(), lease_s=LEASE_S
            )
    if json_:
        print_json({"removed": removed, "blobs": blobs})
    else:
        out.print(f"Removed {len(removed)} backups and {blobs} blobs.")
