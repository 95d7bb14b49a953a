"""``kotaemon eval``: runs experiments, compares two, and says how far proxies agree with people.

What encodes and searches is imported where it is needed (``cli.evaluating``): that takes half a
second, for which every other command would wait.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from typer.core import TyperGroup

from kotaemon_node.cli.console import err, out
from kotaemon_node.evaluation.comparison import compare as compared
from kotaemon_node.evaluation.errors import ExperimentError
from kotaemon_node.evaluation.experiment import read_experiment
from kotaemon_node.evaluation.report import of_comparison, of_run
from kotaemon_node.evaluation.report.pages import Page, html, markdown
from kotaemon_node.evaluation.results import read_results, to_json
from kotaemon_node.local import preflight

OutOption = Annotated[
    Path | None, typer.Option("--out", help="Folder for the report (Markdown, HTML, JSON, SVG).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Tell = Callable[[str, int, int], None]
_PARTS = ("run", "compare", "calibrate")


class _Parts(TyperGroup):
    """``kotaemon eval FILE.yaml`` is short for ``kotaemon eval run FILE.yaml``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*_PARTS, "-h", "--help"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Parts,
    no_args_is_help=True,
    help="Run an experiment: `kotaemon eval FILE.yaml`; compare two results.",
)


@app.command(name="run")
def run_(
    file: Annotated[Path, typer.Argument(help="YAML file of the experiment.")],
    folder: OutOption = None,
    *,
    as_json: JsonOption = False,
    keep: Annotated[
        Path | None,
        typer.Option(help="Keep knowledge bases in this folder, for the next run on them."),
    ] = None,
) -> None:
    """Run an experiment and print its report; the same file gives the same figures."""
    from kotaemon_node.cli.evaluating import run_experiment  # noqa: PLC0415 - see above

    experiment = read_experiment(file)
    settings = preflight.read_settings()
    with _progress() as tell:
        ran = run_experiment(experiment, settings, tell=tell, room=keep)
    if folder is not None:
        _write(folder, of_run.page_of(ran.results), ran.results)
        (folder / "timings.json").write_text(to_json(ran.timings), "utf-8")
    _print(of_run.page_of(ran.results), ran.results, as_json=as_json, folder=folder)


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="results.json of one run.")],
    after: Annotated[Path, typer.Argument(help="results.json of another one on the same data.")],
    folder: OutOption = None,
    *,
    as_json: JsonOption = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the test and the intervals.")] = 0,
) -> None:
    """Compare two runs question by question, with significance."""
    found = compared(read_results(before), read_results(after), seed=seed)
    page = of_comparison.page_of(found)
    if folder is not None:
        _write(folder, page, found)
    _print(page, found, as_json=as_json, folder=folder)


@app.command()
def calibrate(
    file: Annotated[Path, typer.Argument(help="JSON Lines of answers that people scored.")],
) -> None:
    """Print, as JSON, how far the proxies of answers agree with people (rank correlation)."""
    from kotaemon_node.cli.evaluating import calibrate_proxies  # noqa: PLC0415 - see above

    settings = preflight.read_settings()
    with _progress() as tell:
        found = calibrate_proxies(file, settings, tell=tell)
    print(json.dumps(found, indent=1))


@contextmanager
def _progress() -> Iterator[Tell]:
    """Yield what shows how far it is, on stderr."""
    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err) as progress:
        tasks: dict[str, Any] = {}

        def tell(doing: str, done: int, of: int) -> None:
            if doing not in tasks:
                tasks[doing] = progress.add_task(doing, total=of)
            progress.update(tasks[doing], completed=done, total=of)

        yield tell


def _write(folder: Path, page: Page, found: Any) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(to_json(found), "utf-8")
        (folder / "report.md").write_text(markdown(page), "utf-8")
        (folder / "report.html").write_text(html(page), "utf-8")
        for plot in page.plots:
            (folder / f"{plot.name}.svg").write_text(plot.svg, "utf-8")
    except OSError as error:
        raise ExperimentError(f"{folder} cannot be written: {error.strerror}.") from error


def _print(page: Page, found: Any, *, as_json: bool, folder: Path | None) -> None:
    if as_json:
        print(to_json(found), end="")
    elif out.is_terminal:
        out.print(Markdown(markdown(page, pictures=False)))
    else:
        print(markdown(page, pictures=False), end="")
    if folder is not None:
        err.print(f"[green]✓[/] {folder / 'report.html'}", soft_wrap=True)
