"""``restore``: brings a backup back where nothing is, or shows in a drill that it would."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import typer

from kotaemon_node.adapters.redis import (
    RedisAuditStore,
    RedisGenerationPointer,
    RedisLeadership,
    RedisPlugins,
    RedisStore,
    connect,
)
from kotaemon_node.adapters.sealing import CopiesInArtifacts
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.backup.asking import Asking
from kotaemon_node.backup.audit import AuditRestoring
from kotaemon_node.backup.drill import Drill, Report, Scratch
from kotaemon_node.backup.format import Backup, BackupRefused, Part
from kotaemon_node.backup.leading import leading
from kotaemon_node.backup.plugins import PluginsRestoring
from kotaemon_node.backup.restoring import (
    KnowledgeRestoring,
    Restored,
    SessionsRestoring,
    highest,
)
from kotaemon_node.backup.scratch import given_redis, scratch_redis
from kotaemon_node.backup.shelf import Shelf
from kotaemon_node.backup.writing import Tell
from kotaemon_node.cli.audit_places import record
from kotaemon_node.cli.backup import (
    AtOption,
    EndpointOption,
    JsonOption,
    KnowledgeOption,
    RegionOption,
    TenantOption,
    UrlOption,
    WhatOption,
    WithoutOption,
    required,
    wanted,
)
from kotaemon_node.cli.backup_places import (
    Place,
    backups_at,
    parts_of,
    place_below,
    place_of,
)
from kotaemon_node.cli.backup_showing import print_json, show_report, showing
from kotaemon_node.cli.cluster import DataOption
from kotaemon_node.cli.console import complain, out
from kotaemon_node.domain.artifact_names import manifest_name
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.local import places

_DATA: Final = places.data_folder()


def restore(
    from_: UrlOption = "",
    *,
    at: AtOption = "",
    what: WhatOption = "knowledge,sessions",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    drill: Annotated[
        bool, typer.Option("--drill", help="Restore beside the cluster, check, ask, and remove it.")
    ] = False,
    keep_epochs: Annotated[
        bool,
        typer.Option(
            "--keep-epochs",
            help="Only where nothing was written since the backup, as when a cluster moves.",
        ),
    ] = False,
    replace_generations: Annotated[
        bool,
        typer.Option(
            "--replace-generations",
            help="Where the cluster published in an emptied store: its generations give way to"
            " the backup's of the same numbers, so that old citations open.",
        ),
    ] = False,
    scratch_redis_url: Annotated[
        str, typer.Option("--scratch-redis", help="An empty Redis for the drill to use.")
    ] = "",
    json_: JsonOption = False,
    knowledge: KnowledgeOption = None,
    without_documents: WithoutOption = False,
    tenant: TenantOption = DEFAULT_TENANT,
    endpoint: EndpointOption = "",
    region: RegionOption = "",
    data: DataOption = _DATA,
) -> None:
    """Bring a backup back. What the cluster has is never replaced; run again, it goes on."""
    with showing() as tell:
        url, parts = place_below(required(from_), tenant), parts_of(what)
        with backups_at(url, writes=False, endpoint=endpoint, region=region) as store:
            shelf = Shelf(store)
            backup, lacks = _only(wanted(shelf, at), parts, tenant)
            place = place_of(data, knowledge, tenant, needed=not drill)
            if drill:
                report = _drill(place, shelf, backup, scratch_redis_url, tell)
            else:
                documents = None if without_documents else place.knowledge
                how = _How(documents, keep_epochs, replace_generations)
                restoring = _Restoring(place, shelf, how, tell)

                def begins() -> None:
                    told = {"began_at": backup.began_at, "what": ",".join(backup.what)}
                    record(
                        data,
                        "backup.restoring",
                        tenant=backup.tenant,
                        target=backup.id,
                        detail=told,
                    )

                done = restoring.look(backup) if dry_run else restoring.run(backup, begins)
                if not dry_run:
                    record(data, "backup.restored", tenant=backup.tenant, target=backup.id)
    if lacks:
        complain(f"Backup {backup.id} has no {' and no '.join(lacks)}.")
    if drill:
        _end_drill(report, json_=json_)
    else:
        _end(backup, done, json_=json_, dry_run=dry_run)


@dataclass(frozen=True, slots=True)
class _How:
    """What was asked for. ``documents`` None: they are left out."""

    documents: Path | None
    keeps_epochs: bool
    replaces_generations: bool


_Parts = tuple[KnowledgeRestoring, SessionsRestoring, PluginsRestoring]


class _Restoring:
    """Restores into the cluster ``place``."""

    def __init__(self, place: Place, shelf: Shelf, how: _How, tell: Tell) -> None:
        self._place = place
        self._shelf = shelf
        self._how = how
        self._new_epoch = None if how.keeps_epochs else RandomIds().new_id
        self._tell = tell

    def look(self, backup: Backup) -> dict[str, Restored]:
        """Say what ``run`` would do."""
        done: dict[str, Restored] = {}
        with self._parts() as (knowledge, sessions, plugins):
            if backup.artifacts is not None:
                done["artifacts"], done["documents"] = knowledge.look(backup)
                done["plugins"] = plugins.look(backup)
            if backup.sessions is not None:
                done["sessions"] = sessions.look(backup)
        if backup.audit is not None:
            done["audit log"] = self._audit_log(lambda audit: audit.look(backup))
        return done

    def run(self, backup: Backup, begins: Callable[[], None]) -> dict[str, Restored]:
        """Restore; knowledge first, so that turns that go on find what they know.

        The audit log comes before all: what ``begins`` has it told goes on behind its end.
        """
        done: dict[str, Restored] = {}
        if backup.audit is not None:
            done["audit log"] = self._audit_log(lambda audit: audit.run(backup))
        begins()
        store, clock = self._place.redis(), SystemClock()
        holder = f"restore.{RandomIds().new_id()}"
        with self._parts() as (knowledge, sessions, plugins):
            if backup.sessions is not None:
                self._keys(store)
            if backup.artifacts is None:
                done["sessions"] = sessions.run(backup)
                return done
            with leading(RedisLeadership(store, "coordinator"), holder=holder, clock=clock):
                done["artifacts"], done["documents"] = knowledge.run(backup)
                done["plugins"] = plugins.run(backup)
                if backup.sessions is not None:
                    done["sessions"] = sessions.run(backup)
                replaces = self._how.replaces_generations
                _point_above(
                    RedisGenerationPointer(store), self._place.tenant, done, replaces=replaces
                )
        return done

    def _audit_log(self, do: Callable[[AuditRestoring], Restored]) -> Restored:
        store = RedisAuditStore(self._place.redis())
        with self._place.artifacts(writes=True) as artifacts:
            return do(AuditRestoring(self._shelf, store, artifacts, tell=self._tell))

    def _keys(self, store: RedisStore) -> None:
        """Bring back what opens the tenant's sessions."""
        with self._place.artifacts(writes=True) as artifacts:
            copies = CopiesInArtifacts(self._shelf.store)
            keeper = self._place.keeper(store, artifacts, opens=True)
            taken = keeper.take_from(copies, self._place.tenant)
        self._tell("data keys", taken.count)
        if taken.spared:
            complain(
                "The backup says that these data keys were destroyed, and they live here:"
                f" {', '.join(taken.spared)}. They go on. If they were to be destroyed: `kotaemon"
                f" encryption shred --tenant {self._place.tenant} --key ID` for each."
            )

    @contextmanager
    def _parts(self) -> Iterator[_Parts]:
        place, store = self._place, self._place.redis()
        with place.artifacts(writes=True) as artifacts:
            yield (
                KnowledgeRestoring(
                    self._shelf,
                    artifacts,
                    self._how.documents,
                    tell=self._tell,
                    replaces=self._how.replaces_generations,
                ),
                SessionsRestoring(
                    self._shelf,
                    place.sessions(store),
                    artifacts,
                    new_epoch=self._new_epoch,
                    tell=self._tell,
                ),
                PluginsRestoring(self._shelf, RedisPlugins(store), artifacts, tell=self._tell),
            )


def _point_above(
    pointer: RedisGenerationPointer,
    tenant: str,
    done: dict[str, Restored],
    *,
    replaces: bool,
) -> None:
    """Point to the highest number that is known, whether or not its generation came back.

    Where it did not, the coordinator sees a pointer to nothing, and publishes above it.
    """
    artifacts = done["artifacts"].floors
    sessions = done["sessions"].floors if "sessions" in done else {}
    for kb, number in highest(artifacts, sessions).items():
        if number > artifacts.get(kb, 0) or replaces:
            name = manifest_name(tenant, kb, number)
            pointer.publish(tenant, GenerationRef(kb, number, "", name))


def _drill(place: Place, shelf: Shelf, backup: Backup, redis_url: str, tell: Tell) -> Report:
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="kotaemon-drill-") as name:
        folder = Path(name)
        redis = given_redis(redis_url) if redis_url else scratch_redis(folder, clock)
        with redis as url:
            store = connect(url)
            scratch = Scratch(
                sessions=place.sessions(store),
                artifacts=FileArtifactStore(folder / "artifacts", mode=0o600),
                documents=folder / "knowledge",
            )
            asking = Asking(place.encoder, place.verifier(), tenant=place.tenant)
            report = Drill(shelf, scratch, asking, clock=clock, tell=tell).run(backup)
            store.client.close()
    return report


def _only(backup: Backup, parts: Sequence[Part], tenant: str) -> tuple[Backup, Sequence[Part]]:
    """Return the backup with the parts that are wanted and that it has, and those it lacks.

    ``BackupRefused`` where it has none of them, or is not one of the data that we look after.
    """
    lacks = [part for part in parts if part not in backup.what]
    if lacks == parts:
        raise BackupRefused(
            f"Backup {backup.id} has no {' and no '.join(lacks)}: choose another with --at;"
            " `kotaemon backup list` shows what each has."
        )
    if backup.tenant != tenant:
        raise BackupRefused(
            f"Backup {backup.id} is of tenant {backup.tenant!r}: name it with --tenant."
        )
    has_sessions, has_knowledge = "sessions" in parts, "knowledge" in parts
    kept = replace(
        backup,
        sessions=backup.sessions if has_sessions else None,
        artifacts=backup.artifacts if has_knowledge else None,
        documents=backup.documents if has_knowledge else None,
        plugins=backup.plugins if has_knowledge else (),
        audit=backup.audit if has_sessions else None,
    )
    return kept, lacks


def _end_drill(report: Report, *, json_: bool) -> None:
    if json_:
        print_json({**asdict(report), "good": not report.problems})
    else:
        show_report(report)
    if report.problems:
        raise typer.Exit(1)


def _end(backup: Backup, done: dict[str, Restored], *, json_: bool, dry_run: bool) -> None:
    if json_:
        said = {part: {**asdict(it), "replaced": sorted(it.replaced)} for part, it in done.items()}
        print_json({"backup": backup.id, "dry_run": dry_run, **said})
    else:
        words = ("would come back", "are there") if dry_run else ("came back", "were there")
        out.print(f"Backup [bold]{backup.id}[/]")
        for part, it in done.items():
            ended = f", {it.ended} were deleted since" if it.ended else ""
            out.print(f"  {part:<10} {it.restored} {words[0]}, {it.there} {words[1]}{ended}")
            for name in it.differs:
                complain(f"{name} is another one here, and stays.")
    damaged = [what for it in done.values() for what in it.damaged]
    for what in damaged:
        complain(what)
    if damaged:
        raise typer.Exit(1)
