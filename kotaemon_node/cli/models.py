"""``kotaemon models``: fetches encoder weights, once and checked."""

import time
from pathlib import Path
from typing import Annotated

import typer

from kotaemon_node.adapters.encoder.catalogue import names_in
from kotaemon_node.adapters.encoder.install import Phase, Progress, install_models
from kotaemon_node.cli.console import err
from kotaemon_node.local import places, preflight
from kotaemon_node.local.errors import LocalError

app = typer.Typer(help="Encoder models: the weights that turn text into vectors.")

_MEGABYTE = 1_000_000


@app.callback()
def _models() -> None:
    """Encoder models: the weights that turn text into vectors."""


@app.command()
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Models to fetch; those of ENCODER_MODEL by default."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="Where to keep them; MODEL_DIR by default."),
    ] = None,
) -> None:
    """Fetch weights into the model folder; nothing is fetched that is there already."""
    settings = preflight.read_settings()
    given = settings.model_dir if "model_dir" in settings.model_fields_set else None
    target = folder or given or places.models_folder()
    try:
        install_models(
            [part for name in names or [settings.encoder_model] for part in names_in(name)],
            target,
            _Lines(),
        )
    except OSError as error:
        raise LocalError(f"{target} cannot be written: {error.strerror or error}.") from error


class _Lines:
    """One line for each model that was fetched or found, with its time."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, step: Progress) -> None:
        place = f"{step.number}/{step.models}"
        match step.phase:
            case Phase.FETCHING:
                return
            case Phase.PRESENT:
                err.print(f"[green]✓[/] {place} {step.model}: already there")
            case Phase.INSTALLED:
                seconds = time.monotonic() - self._began
                megabytes = step.size_bytes / _MEGABYTE
                err.print(
                    f"[green]✓[/] {place} {step.model}: {megabytes:.0f} MB from {step.source}"
                    f" ({seconds:.1f} s)"
                )
            case Phase.SOURCE_FAILED:
                err.print(f"• {place} {step.model}: not from {step.source} ({step.note})")
