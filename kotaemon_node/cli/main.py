"""The command ``kotaemon``: its parts, and errors as a sentence and an exit code."""

import sys
from typing import Annotated, Any

import structlog
import typer

from kotaemon_node import __version__
from kotaemon_node.adapters.encoder.errors import EncoderSetupError
from kotaemon_node.cli.commands import Commands
from kotaemon_node.cli.console import complain
from kotaemon_node.cli.service import ServiceError
from kotaemon_node.local.errors import LocalError, StartFailed

FAILURE = 1
CANNOT_BE_DONE = 2


class CommandLine(typer.Typer):
    """Typer, ending with 1 where something failed and 2 where it cannot be done as asked."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Run the command that the arguments name."""
        try:
            return super().__call__(*arguments, **options)
        except StartFailed as error:
            complain(str(error), process=error.process, log_lines=error.log_lines)
            sys.exit(FAILURE)
        except LocalError as error:
            complain(str(error))
            sys.exit(CANNOT_BE_DONE)
        except (ServiceError, EncoderSetupError) as error:
            complain(str(error))
            sys.exit(FAILURE)


app = CommandLine(
    name="kotaemon",
    cls=Commands,
    help="A cluster that answers questions from your documents, on this machine.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"kotaemon {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """A cluster that answers questions from your documents, on this machine."""
    # Results go to stdout, so logs do not: ``KEY=$(kotaemon keys create …)`` is a key.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


if __name__ == "__main__":
    app()
