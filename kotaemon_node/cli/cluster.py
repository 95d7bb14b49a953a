"""``up``, ``ps``, ``down``, ``stop``, ``start`` and ``scale``: the cluster on this machine."""

import json
import os
from pathlib import Path
from shlex import quote
from typing import Annotated, Literal

import typer
from rich.text import Text

from kotaemon_node.cli.console import err, out, process_table, program
from kotaemon_node.cli.progress import StartProgress
from kotaemon_node.cli.signals import StopAsked, stop_signals
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE
from kotaemon_node.local import control, launch, places, probes, table
from kotaemon_node.local.cluster import Cluster
from kotaemon_node.local.errors import LocalError, StartFailed
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.local.plan import Wishes
from kotaemon_node.local.supervisor import Supervisor
from kotaemon_node.local.watch import watch

DataOption = Annotated[
    Path, typer.Option("--data", help="Folder that keeps the cluster's state.", show_default=True)
]
NameArgument = Annotated[str, typer.Argument(help="A name that `kotaemon ps` prints.")]
_DATA = places.data_folder()


def up(
    workers: Annotated[int, typer.Option(help="Number of worker pods, 1 to 16.")] = 3,
    port: Annotated[int, typer.Option(help="Port of the load balancer.")] = 8080,
    *,
    host: Annotated[str, typer.Option(help="Address on which it listens.")] = "127.0.0.1",
    knowledge: Annotated[
        Path | None,
        typer.Option(
            help="Folder of documents to answer from; by default the data folder's own,"
            " which begins with the sample shop."
        ),
    ] = None,
    plugins: Annotated[
        Path | None,
        typer.Option(
            help="Folder of plugins that all pods load, and again when a file changes; by default"
            " the data folder's own, which begins empty."
        ),
    ] = None,
    bus: Annotated[
        Literal["redis", "kafka"] | None,
        typer.Option(
            help="What carries the events between pods; kafka runs a broker, unless"
            " KAFKA_BOOTSTRAP_SERVERS names one.",
            show_default="redis",
        ),
    ] = None,
    build_workers: Annotated[
        int,
        typer.Option(
            help="Number of processes that read documents beside the coordinator, 0 to 8."
        ),
    ] = 0,
    turn_log: Annotated[
        str,
        typer.Option(
            help="Where the log of finished turns is kept: file:PATH or elasticsearch:URL.",
            show_default="nowhere",
        ),
    ] = "",
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            help="Certificate (PEM) with those that sign it; the load balancer then speaks TLS.",
            show_default="TLS_CERT_FILE",
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(
            help="Its private key.", show_default="TLS_KEY_FILE, or in the certificate's file"
        ),
    ] = None,
    http_port: Annotated[
        int | None,
        typer.Option(
            help="Port that leads plain HTTP to https; with a certificate.",
            show_default="TLS_HTTP_PORT, or none",
        ),
    ] = None,
    data: DataOption = _DATA,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when every process is ready.")
    ] = False,
) -> None:
    """Run the cluster: Redis, HAProxy, coordinator and workers, restarted when they die."""
    folder = folder_of(data)
    wishes = Wishes(
        folder=folder,
        workers=workers,
        port=port,
        host=host,
        knowledge=knowledge,
        detach=detach,
        bus=bus,
        build_workers=build_workers,
        plugins=plugins,
        turn_log=_absolute(turn_log),
        tls_cert=tls_cert,
        tls_key=tls_key,
        http_port=http_port,
    )
    try:
        with stop_signals():
            with StartProgress() as progress:
                running = launch.up(wishes, progress=progress)
            out.print(process_table(_rows(folder)))
            out.print()
            out.print(f"[bold green]Ready:[/] [bold]{running.cluster.url}[/]", soft_wrap=True)
            out.print(
                f"[dim]Knowledge: {running.plan.knowledge}   Plugins: {running.plan.plugins}"
                f"   Logs: {folder.logs}[/]",
                soft_wrap=True,
            )
            tell_of_documents(running.cluster, data)
            if running.admin_key_file:
                out.print(
                    f"[dim]It asks for a key. The admin key: {running.admin_key_file}   Others:"
                    f" {program()} keys create{_data_words(data)}[/]",
                    soft_wrap=True,
                )
            if detach:
                out.print(
                    f"[dim]Stop it with: {program()} down{_data_words(data)}[/]", soft_wrap=True
                )
                return
            out.print("[dim]Ctrl-C stops everything.[/]")
            watch(folder, running.supervisord, tell=_tell)
    except StopAsked:
        _stop_all(folder)
        return
    _after_supervisord(folder, running.supervisord.returncode)


def tell_of_documents(cluster: Cluster, data: Path) -> None:
    """Say what somebody who asks now would wonder about: no documents, or some that failed."""
    found = probes.documents(cluster)
    for kb, states in sorted(found.items()):
        if states["failed"]:
            base = "" if kb == DEFAULT_KNOWLEDGE_BASE else f" --kb {kb}"
            out.print(
                f"[yellow]{states['failed']} of {states.total()} documents of {kb} cannot be"
                f" read;[/] why: {program()} knowledge documents --status failed{base}"
                f"{_data_words(data)}",
                soft_wrap=True,
            )
    if found and not any(states.total() for states in found.values()):
        out.print(
            "[yellow]There are no documents yet:[/] put some into the knowledge folder; they are"
            " answered from seconds later.",
            soft_wrap=True,
        )


def _absolute(turn_log: str) -> str:
    """Return it with a file's whole path: its process runs in the data folder."""
    kind, colon, path = turn_log.partition(":")
    return f"file:{Path(path).absolute()}" if kind == "file" and colon and path else turn_log


def _stop_all(folder: DataFolder) -> None:
    err.print()
    try:
        with stop_signals(), err.status("Stopping; the workers finish what they are doing …"):
            control.down(folder)
    except StopAsked:
        control.kill(folder)
        err.print("Killed. State stays in the data folder.")
        return
    err.print("Stopped. State stays in the data folder.")


def _after_supervisord(folder: DataFolder, status: int) -> None:
    if status == 0:
        err.print("Stopped by another command.")
        return
    control.down(folder)
    raise StartFailed(
        f"The supervisor ended with status {status}, and the cluster was stopped; `kotaemon up`"
        " starts it again.",
        process="supervisord",
        log_lines=folder.log_tail("supervisord"),
    )


def _tell(name: str, what: str) -> None:
    out.print(Text.assemble((name, "bold"), " ", what))


def ps(
    data: DataOption = _DATA,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the processes of the cluster; a worker's pid is the process that serves."""
    rows = _rows(folder_of(data))
    if as_json:
        print(json.dumps([row.as_json() for row in rows], indent=2))
    else:
        out.print(process_table(rows))


def down(data: DataOption = _DATA) -> None:
    """Stop the cluster; its state stays in the data folder."""
    folder = folder_of(data)
    with err.status("Stopping; the workers finish what they are doing …"):
        ran = control.down(folder)
    err.print("Stopped." if ran else f"No cluster was running in {folder.path}.", soft_wrap=True)


def stop(name: NameArgument, data: DataOption = _DATA) -> None:
    """Stop one process and keep it down until it is started again."""
    with err.status(f"Stopping {name} …"):
        control.stop_one(folder_of(data), name)
    again = f"{program()} start {name}{_data_words(data)}"
    err.print(f"{name} is down until `{again}`.", soft_wrap=True)


def start(name: NameArgument, data: DataOption = _DATA) -> None:
    """Start a process that was stopped; returns when it is ready."""
    with StartProgress() as progress:
        control.start_one(folder_of(data), name, progress=progress)


def scale(
    workers: Annotated[int, typer.Option(help="Number of worker pods, 1 to 16.")],
    data: DataOption = _DATA,
) -> None:
    """Change the number of workers; returns when the new ones serve and the others are gone."""
    folder = folder_of(data)
    with StartProgress() as progress:
        control.scale(folder, workers, progress=progress)
    out.print(process_table(_rows(folder)))


def folder_of(data: Path) -> DataFolder:
    """Return the data folder of an option; ``LocalError`` where the path is something else."""
    path = Path(os.path.abspath(data.expanduser()))
    if path.exists() and not path.is_dir():
        raise LocalError(f"{path} is not a folder; name another one with --data.")
    return DataFolder(path)


def _rows(folder: DataFolder) -> list[table.Row]:
    cluster = control.running_cluster(folder)
    return table.rows(folder, cluster, Supervisor(folder).processes())


def _data_words(data: Path) -> str:
    return "" if data == _DATA else f" --data {quote(str(data))}"
