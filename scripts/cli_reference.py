"""Writes docs/reference/cli.md from the commands: ``python -m scripts.cli_reference``."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from kotaemon_node.cli.main import app

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"

_HEAD = """\
# Commands

`kotaemon COMMAND --help` says the same in the terminal. This page is made from the commands by
`python -m scripts.cli_reference`.

## What holds for all of them

- **Which cluster.** Commands that ask a cluster take `--url` (else `KOTAEMON_URL`), or `--data`:
  the data folder of a cluster of this machine. `--key` (else `KOTAEMON_API_KEY`) is the API key;
  of a cluster of this machine its own admin key is read.
- **Results** go to stdout, everything else (progress, hints, errors, logs) to stderr. `--json`
  prints the result as JSON, in the form of the route behind it. `turn-log` is a service and prints
  no results: its [logs](../how-to/observe.md#logs) go to stdout, as those of pods.
- **Exit codes**: 0 done; 1 it failed, or the cluster refused; 2 it cannot be done as asked
  (arguments, no cluster in the data folder); 130 interrupted.
- **Colours** are left out where `NO_COLOR` is set or where the output is no terminal; there, `chat`
  prints the text of an answer as it is, and no Markdown is rendered.
- **Completion**: `kotaemon --install-completion`, for bash, zsh and fish.
"""


def page() -> str:
    """Return the page."""
    root = typer.main.get_command(app)
    return "\n".join([_HEAD, *_of(root, "kotaemon")]).rstrip() + "\n"


def _of(command: Any, name: str) -> Iterator[str]:
    commands = getattr(command, "commands", None)
    if name != "kotaemon":
        yield f"## {name}\n" if name.count(" ") == 1 else f"### {name}\n"
        yield f"{_plain(command.help or '')}\n"
    if commands is None:
        arguments = [_argument(it) for it in command.params if not _is_option(it)]
        yield " ".join(["   ", name, "[OPTIONS]", *arguments]) + "\n"
        yield from _parameters(command.params)
        return
    for part in sorted(commands):
        yield from _of(commands[part], f"{name} {part}")


def _parameters(parameters: Sequence[Any]) -> Iterator[str]:
    rows = [_row(it) for it in parameters if it.name != "help" and not it.hidden]
    if rows:
        yield "| argument or option | default | meaning |\n|---|---|---|"
        yield from rows
        yield ""


def _row(parameter: Any) -> str:
    name = _option(parameter) if _is_option(parameter) else _argument(parameter)
    default = parameter.default
    shown = parameter.show_default
    if isinstance(shown, str):
        said = shown
    elif parameter.required or callable(default) or default in (None, "", False, ()):
        said = ""
    else:
        said = "yes" if default is True else f"`{default}`"
    return f"| `{name}` | {said} | {_plain(parameter.help or '')} |"


def _is_option(parameter: Any) -> bool:
    return any(name.startswith("-") for name in parameter.opts)


def _argument(parameter: Any) -> str:
    word = parameter.metavar or parameter.name.rstrip("_").upper()
    word += "…" if parameter.nargs == -1 else ""
    return word if parameter.required else f"[{word}]"


def _option(parameter: Any) -> str:
    flags = ", ".join([*parameter.opts, *parameter.secondary_opts])
    if parameter.is_flag:
        return flags
    described = parameter.type_descriptor
    choices = getattr(described, "choices", None)
    kind = "|".join(map(str, choices)) if choices else str(getattr(described, "name", "value"))
    return f"{flags} <{kind}>".replace("|", r"\|")


def _plain(text: str) -> str:
    """Return a help text as Markdown in one paragraph."""
    return re.sub(r"\s+", " ", text.replace("|", r"\|")).strip()


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
