"""``backup``: copies knowledge and sessions elsewhere; its commands look after what lies there."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.backup.format import Backup, BackupRefused
from kotaemon_node.backup.keeping import Verified
from kotaemon_node.backup.keeping import prune as prune_backups
from kotaemon_node.backup.keeping import verify as verify_backup
from kotaemon_node.backup.shelf import Shelf
from kotaemon_node.backup.writing import LEASE_S
from kotaemon_node.cli.backup_making import Wishes, make
from kotaemon_node.cli.backup_places import parts_of, place_of
from kotaemon_node.cli.backup_showing import (
    as_json,
    backups_table,
    print_json,
    show_backups,
    show_verified,
    showing,
)
from kotaemon_node.cli.backup_tenants import (
    AllTenantsOption,
    Destination,
    of_each,
    require_one_or_all,
    tenants_here,
)
from kotaemon_node.cli.cluster import DataOption
from kotaemon_node.cli.console import complain, err, out
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.local import places

_DATA: Final = places.data_folder()
_ALL: Final = "knowledge,sessions"
_SOME_FAILED: Final = 3  # of --all-tenants; again, the others would be saved once more

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
    all_tenants: AllTenantsOption = False,
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
    with showing() as tell:
        wishes = Wishes(
            url=required(to),
            endpoint=endpoint,
            region=region,
            data=data,
            knowledge=knowledge,
            without_documents=without_documents,
            parts=parts_of(what),
            kind=None if full is None else "full" if full else "incremental",
            pause_s=pause_ms / 1000,
        )
        require_one_or_all(tenant, all_tenants=all_tenants)
        tenants = tenants_here(place_of(data, knowledge)) if all_tenants else [tenant]
        made, failed = of_each(tenants, lambda it: make(wishes, it, tell, named=not all_tenants))
    if json_:
        print_json([as_json(it) for it in made] if all_tenants else as_json(made[0]))
    else:
        show_backups(made)
    if failed:
        raise typer.Exit(_SOME_FAILED if made else 1)


@app.command("list")
def list_(
    context: typer.Context,
    to: UrlOption = "",
    *,
    json_: JsonOption = False,
    tenant: TenantOption = DEFAULT_TENANT,
    all_tenants: AllTenantsOption = False,
    endpoint: EndpointOption = "",
    region: RegionOption = "",
) -> None:
    """List the backups that are whole, oldest first."""
    found: list[Backup] = []
    with showing():
        at = Destination(required(to or context.obj), endpoint, region)
        for one in at.tenants(tenant, all_tenants=all_tenants):
            with at.of(one, writes=False) as store:
                shelf = Shelf(store)
                readable = list(shelf.backups())
                for backup_id in sorted(set(shelf.ids()) - {it.id for it in readable}):
                    complain(
                        f"The manifest of {backup_id} cannot be read; `backup verify --at` says"
                        " why."
                    )
                found += readable
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
    all_tenants: AllTenantsOption = False,
    endpoint: EndpointOption = "",
    region: RegionOption = "",
) -> None:
    """Read every byte of a backup again; ends with 1 where something is damaged."""
    with showing() as tell:
        place = Destination(required(to or context.obj), endpoint, region)

        def of(one: str) -> Sequence[Verified]:
            with place.of(one, writes=False) as store:
                shelf = Shelf(store)
                chosen = shelf.ids() if all_ else [wanted(shelf, at).id]
                return [verify_backup(store, it, tell) for it in chosen]

        each, failed = of_each(place.tenants(tenant, all_tenants=all_tenants), of)
        found = [it for one in each for it in one]
    print_json([asdict(it) for it in found]) if json_ else show_verified(found)
    if failed or any(it.problems for it in found):
        raise typer.Exit(1)


@app.command()
def prune(
    context: typer.Context,
    to: UrlOption = "",
    *,
    keep: Annotated[int, typer.Option("--keep", help="How many of the newest stay.")] = 7,
    json_: JsonOption = False,
    tenant: TenantOption = DEFAULT_TENANT,
    all_tenants: AllTenantsOption = False,
    endpoint: EndpointOption = "",
    region: RegionOption = "",
) -> None:
    """Remove old backups, and what none of those that stay needs."""
    with showing():
        place = Destination(required(to or context.obj), endpoint, region)

        def of(one: str) -> tuple[Sequence[str], int]:
            holder = f"prune-{RandomIds().new_id()[:8]}"
            with place.of(one, writes=True) as store:
                return prune_backups(
                    store, keep=keep, holder=holder, clock=SystemClock(), lease_s=LEASE_S
                )

        each, failed = of_each(place.tenants(tenant, all_tenants=all_tenants), of)
        removed = [it for ids, _ in each for it in ids]
        blobs = sum(count for _, count in each)
    if json_:
        print_json({"removed": removed, "blobs": blobs})
    else:
        out.print(f"Removed {len(removed)} backups and {blobs} blobs.")
    if failed:
        raise typer.Exit(1)
