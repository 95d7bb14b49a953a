"""``kotaemon chaos``: disturbs the running cluster and says whether it kept its promises."""

import json
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import requests
import typer
from rich.status import Status

from kotaemon_node import __version__
from kotaemon_node.chaos.faults import FAULTS, Fault
from kotaemon_node.chaos.markdown import markdown
from kotaemon_node.chaos.report import results, right
from kotaemon_node.chaos.run import Run, Surroundings, run
from kotaemon_node.chaos.schedule import FILLER
from kotaemon_node.chaos.target import NotInTime, Target
from kotaemon_node.cli.cluster import folder_of
from kotaemon_node.cli.console import err
from kotaemon_node.cli.signals import StopAsked, stop_signals
from kotaemon_node.local import places
from kotaemon_node.local.errors import LocalError

DataOption = Annotated[Path, typer.Option("--data", help="Data folder of the cluster to disturb.")]
_DATA = places.data_folder()
DEFAULT: Final = (
    "kill_worker",
    "freeze_worker",
    "kill_all_workers",
    "kill_balancer",
    "reload_balancer",
    "kill_redis",
)
_PHASES: Final = ("before_text", "within_text", "commit_to_event")
_BROKEN = 1
_UNAUTHORIZED = 401
_READY_S = 60.0


def chaos(
    data: DataOption = _DATA,
    *,
    seconds: Annotated[float, typer.Option(min=5, help="For how long faults happen.")] = 60,
    writers: Annotated[int, typer.Option(min=1, max=200, help="Clients that ask.")] = 8,
    seed: Annotated[
        int | None, typer.Option(help="Draws the faults; by chance if left out.")
    ] = None,
    faults: Annotated[
        str, typer.Option(help="Names, joined by commas; `all` for all of them.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="Write the report here: JSON for .json, else Markdown.")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="Keep what clients saw in this file.")] = None,
) -> None:
    """Disturb the running cluster while clients ask it, and judge what they saw.

    Ends with 0 only where no promise was broken and a kill met a running turn.
    """
    target = Target.running(folder_of(data))
    _require_open(target)
    chosen = _chosen(faults, own_redis=target.own_redis)
    for path in (out, log):
        if path is not None and not path.absolute().parent.is_dir():
            raise LocalError(f"{path} cannot be written: its folder does not exist.")
    try:
        target.wait_ready(timeout_s=_READY_S)
    except NotInTime as error:
        raise LocalError(
            "The cluster is not whole, so that nothing could be learnt from disturbing it;"
            " `kotaemon ps` shows what is down."
        ) from error
    used_seed = secrets.randbelow(1_000_000) if seed is None else seed
    label = f"chaos-{secrets.token_hex(4)}-"
    try:
        with stop_signals(), _log(log) as kept, _lines() as tell:
            tell(f"seed {used_seed}; {', '.join(fault.shown for fault in chosen)}")
            found = run(
                Surroundings(target, target.redis_url, label=label),
                chosen,
                seed=used_seed,
                clients=writers,
                seconds=seconds,
                log=kept,
                tell=tell,
            )
            _remove_sessions(found, target)
    except StopAsked:
        err.print("Stopped; nothing was judged.")
        raise typer.Exit(_BROKEN) from None
    _report(found, out)


def _require_open(target: Target) -> None:
    """Refuse a cluster that asks for keys: its sessions have ids that no client may choose."""
    try:
        answer = requests.get(f"{target.url}/v1/me", timeout=10)
    except requests.RequestException:
        return  # it is waited for below
    if answer.status_code == _UNAUTHORIZED:
        raise LocalError(
            "This cluster asks for keys; disturb one of AUTH_MODE=open, which runs the same pods:"
            " the clients of this command name their sessions themselves, to judge them."
        )


def _chosen(names: str, *, own_redis: bool) -> Sequence[Fault]:
    """Return the faults that were asked for; ``LocalError`` for one that cannot be done."""
    possible = [name for name in FAULTS if own_redis or name != "kill_redis"]
    asked = [name.strip() for name in names.split(",") if name.strip()]
    if asked == ["all"]:
        asked = possible
    if "kill_redis" in asked and not own_redis:
        raise LocalError("kill_redis needs a Redis of the cluster's own; REDIS_URL names another.")
    unknown = sorted(set(asked) - set(FAULTS))
    if unknown:
        raise LocalError(f"There is no fault {', '.join(unknown)}; there are {', '.join(FAULTS)}.")
    return [FAULTS[name] for name in asked or [name for name in DEFAULT if name in possible]]


@contextmanager
def _log(path: Path | None) -> Iterator[Path]:
    """Yield where the facts go: a file that is kept, or one that is not."""
    with tempfile.TemporaryDirectory(prefix="kn-chaos-") as folder:
        yield path or Path(folder) / "log.jsonl"


@contextmanager
def _lines() -> Iterator[Any]:
    """Yield what prints a line with the time, above a line that shows that it goes on."""
    began_s = time.monotonic()
    with err.status("Clients are asking …") as status:

        def tell(line: str) -> None:
            err.print(f"{time.strftime('%H:%M:%S')} {line}", soft_wrap=True)
            _show(status, time.monotonic() - began_s)

        yield tell


def _show(status: Status, seconds: float) -> None:
    status.update(f"{seconds:.0f} s; clients are asking …")


def _remove_sessions(found: Run, target: Target) -> None:
    """Leave nothing in the user's store; what cannot be removed expires by itself."""
    assert found.writers is not None
    for session in (*found.writers.sessions(), *found.writers.others):
        try:
            requests.delete(f"{target.url}/v1/sessions/{session}", timeout=10)
        except requests.RequestException:
            return


def _report(found: Run, out: Path | None) -> None:
    figures = results(
        found,
        phases=_PHASES if any(spell.fault.name == FILLER for spell in found.spells) else (),
        version=__version__,
    )
    text = markdown(figures, made_by="kotaemon chaos")
    if out is not None:
        as_json = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
        out.write_text(as_json if out.suffix == ".json" else text, "utf-8")
    print(text)
    if not figures["kills"]["turns_hit"]:
        err.print(
            "No strike met a running turn, so this run shows nothing: take more --writers or"
            " --seconds, or faults that strike workers.",
            soft_wrap=True,
        )
    if not right(figures):
        raise typer.Exit(_BROKEN)
