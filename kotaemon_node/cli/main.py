"""The command ``kotaemon``: its parts, and errors as a sentence and an exit code."""

import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer

from kotaemon_node.adapters.encoder.errors import EncoderSetupError
from kotaemon_node.cli import (
    audit,
    backup,
    chaos,
    chat,
    cluster,
    encoder,
    encryption,
    evaluate,
    faq,
    ingest,
    knowledge,
    limits,
    logins,
    models,
    plugin_authors,
    plugins,
    restore,
    rights,
    search,
    sessions,
    signing_key,
    status,
    trace,
    turn_log,
)
from kotaemon_node.cli import keys as api_keys
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
    help="A cluster that answers questions from your documents, on this machine.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(cluster.up)
app.command()(cluster.ps)
app.command()(cluster.down)
app.command()(cluster.stop)
app.command()(cluster.start)
app.command()(cluster.scale)
app.command()(status.status)
app.command()(limits.limits)
app.command()(chat.chat)
app.command()(search.search)
app.command()(trace.trace)
app.command()(ingest.ingest)
app.command()(chaos.chaos)
app.command()(encoder.encoder)
app.command()(turn_log.turn_log)
app.add_typer(backup.app, name="backup")
app.command()(restore.restore)
app.add_typer(api_keys.app, name="keys")
app.add_typer(logins.app, name="logins")
app.add_typer(audit.app, name="audit")
app.add_typer(encryption.app, name="encryption")
app.add_typer(rights.app, name="rights")
app.add_typer(sessions.app, name="sessions")
app.add_typer(knowledge.app, name="knowledge")
app.add_typer(faq.app, name="faq")
app.add_typer(models.app, name="models")
plugins.app.command("new")(plugin_authors.begin)
plugins.app.command("try")(plugin_authors.attempt)
app.add_typer(plugins.app, name="plugins")
app.add_typer(evaluate.app, name="eval")
app.add_typer(signing_key.app, name="signing-key")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"kotaemon {version('kotaemon-cluster')}")
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


if __name__ == "__main__":
    app()
