"""``kotaemon plugins``: which plugins run on all pods, in which version, for whom."""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import requests
import typer
from rich.table import Table

from kotaemon_node.adapters.bundles import check_source, read_plugin
from kotaemon_node.adapters.sandbox.manifest_file import read_manifest
from kotaemon_node.adapters.signing import Ed25519Signer, read_signing_key
from kotaemon_node.cli.cluster import folder_of
from kotaemon_node.cli.console import err, out
from kotaemon_node.cli.service import (
    DataOption,
    KeyOption,
    Place,
    ServiceError,
    UrlOption,
    checked,
    get,
    place_of,
    unreachable,
)
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.plugin_bundle import (
    digest_of,
    manifest_text,
    message_of,
    opened,
    packed,
    plugin_name_of,
)
from kotaemon_node.domain.plugin_signature import signature_line
from kotaemon_node.local import places
from kotaemon_node.local.errors import LocalError

app = typer.Typer(help="Plugins: which run on all pods, in which version, for which sessions.")

_DATA = places.data_folder()
_TIMEOUT_S = 75.0

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="As `kotaemon plugins list` shows it.")
]
PercentOption = Annotated[
    float | None,
    typer.Option("--rollout", help="Share of the sessions that gets the new version, in percent."),
]
ConfigOption = Annotated[
    str | None,
    typer.Option("--config", help="JSON object, or @FILE with one; in place of the one before."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SigningKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        help="Private key (PEM) whose public one is in TRUSTED_KEYS; by default that of the"
        " cluster of this machine.",
    ),
]


@app.callback()
def _plugins() -> None:
    """Plugins: which run on all pods, in which version, for which sessions."""


@app.command("list")
def list_plugins(
    *, as_json: JsonOption = False, url: UrlOption = "", data: DataOption = _DATA,
    key: KeyOption = "",
) -> None:  # fmt: skip
    """List the plugins: what is wanted of each, and what the pods have."""
    found = get(place_of(url, data, key), "/v1/plugins")
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    if not found["plugins"]:
        err.print("There are no plugins. `kotaemon plugins new NAME` begins one.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "version", "next", "pods", "from", "changed by"):
        table.add_column(heading)
    for plugin in found["plugins"]:
        table.add_row(*_cells(plugin))
    out.print(table)
    for plugin in found["plugins"]:
        for problem in _problems(plugin):
            err.print(f"[yellow]{plugin['name']}[/]: {problem}", soft_wrap=True)


@app.command()
def push(
    path: Annotated[
        Path, typer.Argument(help="The plugin: NAME.py, the folder NAME, or a bundle NAME.zip.")
    ],
    *,
    signing_key: SigningKeyOption = None,
    rollout: PercentOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    url: UrlOption = "",
    data: DataOption = _DATA,
    key: Annotated[
        str, typer.Option("--api-key", envvar="KOTAEMON_API_KEY", help="API key of the cluster.")
    ] = "",
) -> None:
    """Sign a plugin and bring it to all pods, in place of its version before."""
    place = place_of(url, data, key)
    name, raw, line = signed_bundle(path, signing_key, data)
    fields = {"rollout_percent": rollout, "config": _config(config)}
    answer = _asked(
        place,
        "POST",
        "/v1/plugins",
        files={"bundle": (f"{name}.zip", raw), "signature": (f"{name}.sig", line)},
        data={field: json.dumps(value) for field, value in fields.items() if value is not None},
    )
    _told(answer, as_json=as_json, what="is brought to the pods")


@app.command()
def enable(
    name: NameArgument, *, as_json: JsonOption = False, url: UrlOption = "",
    data: DataOption = _DATA, key: KeyOption = "",
) -> None:  # fmt: skip
    """Switch a plugin on."""
    answer = _put(place_of(url, data, key), name, {"enabled": True})
    _told(answer, as_json=as_json, what="is on")


@app.command()
def disable(
    name: NameArgument, *, as_json: JsonOption = False, url: UrlOption = "",
    data: DataOption = _DATA, key: KeyOption = "",
) -> None:  # fmt: skip
    """Switch a plugin off on all pods; running calls end."""
    answer = _put(place_of(url, data, key), name, {"enabled": False})
    _told(answer, as_json=as_json, what="is off")


@app.command()
def config(
    name: NameArgument,
    said: Annotated[
        str | None, typer.Argument(metavar="[JSON]", help="JSON object, or @FILE with one.")
    ] = None,
    *,
    rollout: PercentOption = None,
    as_json: JsonOption = False,
    url: UrlOption = "",
    data: DataOption = _DATA,
    key: KeyOption = "",
) -> None:
    """Show the configuration of a plugin, or replace it; a value {"secret": "NAME"} names one."""
    place = place_of(url, data, key)
    wanted = _config(said)
    if wanted is None:
        found = {it["name"]: it for it in get(place, "/v1/plugins")["plugins"]}
        if name not in found:
            raise LocalError(f"There is no plugin {name}; `kotaemon plugins list` shows them.")
        newest = found[name]["next"] or found[name]["stable"]
        print(json.dumps(newest["config"] if newest else {}, indent=2, ensure_ascii=False))
        return
    body: dict[str, Any] = {"config": wanted}
    if rollout is not None:
        body["rollout_percent"] = rollout
    _told(_put(place, name, body), as_json=as_json, what="is configured")


@app.command()
def offer(
    name: NameArgument,
    tenants: Annotated[
        list[str], typer.Argument(help="Whose sessions are to have it; '*' stands for all.")
    ],
    *,
    as_json: JsonOption = False,
    url: UrlOption = "",
    data: DataOption = _DATA,
    key: KeyOption = "",
) -> None:
    """Say which tenants' sessions are offered a plugin; until then `default` alone is."""
    answer = _put(place_of(url, data, key), name, {"tenants": tenants})
    _told(answer, as_json=as_json, what=f"is offered to {' and '.join(answer['tenants'])}")


@app.command()
def rollout(
    name: NameArgument,
    percent: Annotated[float, typer.Argument(help="0 to 100; 100 makes the new version stable.")],
    *,
    as_json: JsonOption = False,
    url: UrlOption = "",
    data: DataOption = _DATA,
    key: KeyOption = "",
) -> None:
    """Set the share of the sessions that gets new versions of a plugin."""
    answer = _put(place_of(url, data, key), name, {"rollout_percent": percent})
    _told(answer, as_json=as_json, what=f"has new versions for {percent:g} % of the sessions")


@app.command()
def reload(
    name: NameArgument, *, as_json: JsonOption = False, url: UrlOption = "",
    data: DataOption = _DATA, key: KeyOption = "",
) -> None:  # fmt: skip
    """Have every pod start a plugin anew, with its secrets as they are now."""
    answer = _asked(place_of(url, data, key), "POST", f"/v1/plugins/{name}/reload", json={})
    _told(answer, as_json=as_json, what="is started anew")


@app.command()
def remove(
    name: NameArgument, *, url: UrlOption = "", data: DataOption = _DATA, key: KeyOption = ""
) -> None:
    """Take a plugin out of use; one of the plugin folder comes back unless its file goes, too."""
    _asked(place_of(url, data, key), "DELETE", f"/v1/plugins/{name}")
    err.print(f"{name} is removed.")


def signed_bundle(path: Path, signing_key: Path | None, data: Path) -> tuple[str, bytes, bytes]:
    """Return the name of a plugin, its bundle and the line that signs it; ``LocalError``."""
    raw = _bundle(path)
    signer = _signer(signing_key, data)
    name = plugin_name_of(opened(raw))
    return name, raw, signature_line(signer.key_id, signer.sign(message_of(name, digest_of(raw))))


def _bundle(path: Path) -> bytes:
    """Return the bundle of a plugin, checked as the cluster will check it."""
    try:
        if zipfile.is_zipfile(path):
            raw = path.read_bytes()
            files: Mapping[str, bytes] = opened(raw)
        else:
            read = read_plugin(path)
            files = read.files
            raw = packed(files)
        check_source(files)
        read_manifest(plugin_name_of(files), manifest_text(files))
    except NodeError as error:
        raise LocalError(f"{path} cannot be packed: {error}.") from error
    except OSError as error:
        raise LocalError(f"{path} cannot be read: {error.strerror or error}.") from error
    return raw


def _signer(path: Path | None, data: Path) -> Ed25519Signer:
    own = folder_of(data).path / "keys" / "signing.pem"
    try:
        return read_signing_key(path or own)
    except (OSError, ValueError) as error:
        raise LocalError(
            f"The signing key cannot be used: {error}. Name one with --key;"
            " `kotaemon signing-key create` makes one."
        ) from error


def _config(said: str | None) -> dict[str, Any] | None:
    if said is None:
        return None
    try:
        text = Path(said[1:]).read_text("utf-8") if said.startswith("@") else said
        found = json.load(io.StringIO(text))
    except (OSError, ValueError) as error:
        raise LocalError(f"The configuration is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise LocalError("The configuration must be a JSON object.")
    return found


def _put(place: Place, name: str, body: Mapping[str, Any]) -> Any:
    return _asked(place, "PUT", f"/v1/plugins/{name}", json=body)


def _asked(place: Place, method: str, path: str, **how: Any) -> Any:
    url = f"{place.url}{path}"
    try:
        answer = requests.request(method, url, timeout=_TIMEOUT_S, auth=place.auth, **how)
    except requests.RequestException as error:
        raise ServiceError(unreachable(url)) from error
    return checked(answer).json() if answer.content else None


def _told(plugin: Mapping[str, Any], *, as_json: bool, what: str) -> None:
    if as_json:
        print(json.dumps(plugin, indent=2, ensure_ascii=False))
        return
    newest = plugin["next"] or plugin["stable"]
    version = f" {newest['version']}" if newest else ""
    err.print(f"{plugin['name']}{version} {what}; `kotaemon plugins list` shows when all have it.")


def _cells(plugin: Mapping[str, Any]) -> tuple[str, ...]:
    stable, following = plugin["stable"], plugin["next"]
    tried = f"{following['version']} for {plugin['rollout_percent']:g} %" if following else "-"
    version = stable["version"] if stable else "-"
    if not plugin["enabled"]:
        version, pods = f"{version} [dim](off)[/]", "-"
    elif plugin["converged"]:
        pods = f"[green]all {len(plugin['pods'])}[/]"
    else:
        wanted = stable["version"] if stable else None
        have = sum(1 for pod in plugin["pods"] if pod["version"] == wanted and wanted)
        pods = f"[yellow]{have} of {len(plugin['pods'])}[/]"
    return plugin["name"], version, tried, pods, plugin["origin"], plugin["changed_by"]


def _problems(plugin: Mapping[str, Any]) -> list[str]:
    told = [f"the newest file is not in use: {plugin['problem']}"] if plugin["problem"] else []
    return told + [f"{pod['pod']}: {pod['problem']}" for pod in plugin["pods"] if pod["problem"]]
