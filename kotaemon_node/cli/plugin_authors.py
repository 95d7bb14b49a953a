"""``kotaemon plugins new``, ``try`` and ``pack``: for who writes a plugin, without a cluster."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kotaemon_node.cli.console import err, out
from kotaemon_node.cli.plugins import SigningKeyOption, app, signed_bundle
from kotaemon_node.cli.service import DataOption
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.local import places
from kotaemon_node.local.errors import LocalError
from kotaemon_node.plugins.template import write_template
from kotaemon_node.plugins.testing import PluginTest
from kotaemon_node.ports.plugin_registry import PluginRefused
from kotaemon_node.ports.tools import ToolFailed, ToolOutcomeUnknown
from kotaemon_node.telemetry.logs import configure_logs

_DATA = places.data_folder()

PathArgument = Annotated[Path, typer.Argument(help="The plugin: NAME.py or the folder NAME.")]

__all__ = ["app"]


@app.command("new")
def begin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits and _.")],
    folder: Annotated[Path, typer.Option("--folder", help="Where plugins lie.")] = Path("plugins"),
) -> None:
    """Begin a plugin: a module, its manifest, and a test that passes."""
    try:
        written = write_template(folder, name)
    except (ValueError, OSError) as error:
        raise LocalError(f"Nothing was written: {error}.") from error
    for path in written:
        out.print(f"  {path}", highlight=False)
    err.print(f"Try it: kotaemon plugins try {written[0]} 'say hello'")


@app.command("try")
def attempt(
    path: PathArgument,
    text: Annotated[str, typer.Argument(help="What a user says, for its hook.")] = "",
    *,
    intent: Annotated[str, typer.Option("--intent", help="Of several hooks, whose.")] = "",
    arguments: Annotated[
        str, typer.Option("--run", help="Call it as a tool instead, with this JSON object.")
    ] = "",
    user: Annotated[str, typer.Option("--user", help="Who is asking.")] = "",
    slots: Annotated[str, typer.Option("--slots", help="JSON object of the session.")] = "{}",
    config: Annotated[str, typer.Option("--config", help="JSON object.")] = "{}",
    sandboxed: Annotated[
        bool, typer.Option(help="Behind the walls that pods build around it.")
    ] = True,
) -> None:
    """Call a plugin once and print what it answers."""
    configure_logs("error", to=sys.stderr)
    try:
        with PluginTest(
            path,
            config=_object(config, "--config"),
            sandboxed=sandboxed,
            user_id=user or None,
            slots=_object(slots, "--slots"),
        ) as plugin:
            if arguments:
                answer = plugin.run(**_object(arguments, "--run"))
            else:
                answer = plugin.hook(text, intent=intent or None)
    except (NodeError, PluginRefused, ToolFailed, ToolOutcomeUnknown, LookupError) as error:
        raise LocalError(str(error)) from error
    out.print_json(json.dumps(answer, ensure_ascii=False))


@app.command()
def pack(
    path: PathArgument,
    folder: Annotated[Path, typer.Option("--folder", help="Where the files go.")] = Path(),
    *,
    signing_key: SigningKeyOption = None,
    data: DataOption = _DATA,
) -> None:
    """Write a plugin as a signed bundle, NAME.zip and NAME.sig, as the admin page takes it."""
    name, raw, line = signed_bundle(path, signing_key, data)
    try:
        for file, content in ((f"{name}.zip", raw), (f"{name}.sig", line)):
            (folder / file).write_bytes(content)
            out.print(f"  {folder / file}", soft_wrap=True)
    except OSError as error:
        raise LocalError(
            f"Nothing can be written to {folder} ({error.strerror}); name a folder with --folder."
        ) from error


def _object(said: str, option: str) -> dict[str, Any]:
    try:
        found = json.loads(said)
    except ValueError as error:
        raise LocalError(f"{option} is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise LocalError(f"{option} must be a JSON object.")
    return found
