"""Whether the programs, options and names of a command are there: one check for each program.

A program without a check is a problem itself: whoever writes of it says here what of it can go
stale. Nothing is started but `make` and Helm, which only say what they would do.
"""

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import typer
from pydantic import TypeAdapter, ValidationError
from typer import _click as click

from coordinator.settings import CoordinatorSettings
from kotaemon_node.cli.main import app
from tests.documented import deployments, modules, requests
from tests.documented.blocks import ROOT
from tests.documented.shell import Command, commands

Check = Callable[[Command], Iterator[str]]
_MAKE_S = 120
_PLACEHOLDER = re.compile(r"…|\.\.\.|\$|\b[A-Z]+\b")
_IN_SENTENCES = "kotaemon|make|curl|python|helm|kubectl|docker|redis-cli|pip"
_OF_ALL = {"--help", "-h", "--version", "--install-completion", "--show-completion"}
_EXAMPLES = ("SHOP_", "PLUGIN_SECRET_SHOP_")
_SOURCES = ("kotaemon_node", "coordinator", "deploy", "helm", "load", "sample", "scripts")
_SOURCE_ENDINGS = {".py", ".yaml", ".yml", ".sh", ".proto", ".tmpl", ".cfg", ".tpl"}
# Names of the environment that are no settings of a pod or a coordinator.
_OTHERS = {
    "KOTAEMON_DATA", "KOTAEMON_URL", "KOTAEMON_API_KEY", "KOTAEMON_TURN_LOG", "KOTAEMON_TEST_DATA",
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY", "LOCUST_HOST", "NO_COLOR",
    "NODE_EXTRA_CA_CERTS", "OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_COMPRESSION",
    "PYTHONPATH", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "UPGRADE",
}  # fmt: skip
_NAME = re.compile(r"(?P<name>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=(?P<value>\S*))?")
_KNOWN = {name.upper(): field for name, field in CoordinatorSettings.model_fields.items()}


def problems(text: str, *, names: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield what a block of shell lines names that is not there.

    ``names``: variables and functions that the page sets elsewhere.
    """
    if found := re.search(r"(?m)^[^#'\"\n]*(<[^\s<>&('\"][^<>\n]*>)", text):
        yield f"a shell takes {found[1]} for files: write a placeholder as a NAME"
    told = list(commands(text))
    functions = set(re.findall(r"(?m)^(\w+)\(\)", text)) | names
    used = set(re.findall(r"\$\{?(\w+)", text)) | names
    for command in told:
        for name, value in command.assigned:
            if command.words or name not in used:
                yield from _setting_problems(name, value)
        if command.words and command.program not in functions:
            check = PROGRAMS.get(command.program)
            if check is None:
                yield f"{command.program}: no check knows this program ({__name__})"
            else:
                yield from check(command)


def kotaemon_problems(words: tuple[str, ...], *, whole: bool = True) -> Iterator[str]:
    """Yield what the command line refuses; ``whole`` False: the beginning of one is enough."""
    left = [re.sub(r"^\[|\]$", "", word) for word in words]
    if left and left[0] in _OF_ALL:
        return
    try:
        _parse(left, whole=whole)
    except click.exceptions.NoArgsIsHelpError:
        return
    except click.exceptions.UsageError as error:
        said = error.format_message()
        if whole or not isinstance(error, click.exceptions.MissingParameter):
            about = {it for it in re.findall(r"'([^']*)'", said) if it in left}
            if not any(_PLACEHOLDER.search(it) for it in about) and not _is_left_open(said, whole):
                yield f"kotaemon {shlex.join(words)}: {said}"


def _parse(left: list[str], *, whole: bool) -> None:
    """Read the words as the program does, up to where it would begin to work."""
    command: Any = typer.main.get_command(app)
    context: Any = None
    name = "kotaemon"
    while hasattr(command, "commands") and left:
        context = command.make_context(name, list(left), parent=context)
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        name, command, left = command.resolve_command(context, rest)
    if left or whole:
        command.make_context(name, list(left), parent=context)


def _is_left_open(said: str, whole: bool) -> bool:
    """Say whether it is about the reader's files, or about an option that is only named."""
    return "does not exist" in said or (not whole and "requires an argument" in said)


def make_problems(words: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with a target, its variables, and the commands it would run."""
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=_MAKE_S, check=False,
    )  # fmt: skip
    if done.returncode:
        yield f"make {shlex.join(words)}: {done.stderr.strip()}"
        return
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = {word for word in words if "=" not in word and not word.startswith("-")}
    for target in targets - set(re.findall(r"(?m)^([\w-]+):", makefile)):
        yield f"make: No rule for {target}"
    for word in words:
        name, given, _ = word.partition("=")
        if given and f"$({name})" not in makefile and f"$(if $({name})" not in makefile:
            yield f"make: the Makefile knows no {name}"
    for command in commands(done.stdout) if words else ():
        if command.program in {"python", "locust", "kotaemon"}:
            yield from PROGRAMS[command.program](
                Command(0, tuple(it for it in command.words if it != "exec"), ())
            )


@cache
def _names_of_sources() -> frozenset[str]:
    """Return all names in capitals of the sources: settings, limits, codes."""
    files = [path for folder in _SOURCES for path in (ROOT / folder).rglob("*")]
    texts = (it.read_text("utf-8") for it in files if it.suffix in _SOURCE_ENDINGS)
    named = {name for text in texts for name in re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", text)}
    return frozenset(named | _KNOWN.keys() | deployments.compose_variables())


def _setting_problems(name: str, value: str) -> Iterator[str]:
    field = _KNOWN.get(name)
    if field is None and name not in _OTHERS | deployments.compose_variables():
        yield f"{name} is no setting"
    elif field is not None and not _PLACEHOLDER.search(value):
        try:
            TypeAdapter(field.annotation).validate_python(value)
        except ValidationError as error:
            yield f"{name}={value}: {error.errors()[0]['msg']}"


def _kotaemon(command: Command) -> Iterator[str]:
    yield from kotaemon_problems(command.words[1:])


def _make(command: Command) -> Iterator[str]:
    yield from make_problems(command.words[1:])


def _curl(command: Command) -> Iterator[str]:
    yield from requests.curl_problems(command.words)


def _sudo(command: Command) -> Iterator[str]:
    within = Command(command.line, command.words[1:], ())
    yield from PROGRAMS[within.program](within)


def _kafka_topics(command: Command) -> Iterator[str]:
    events = (ROOT / "docs" / "reference" / "events.md").read_text("utf-8")
    name = command.words[command.words.index("--topic") + 1]
    if not name.startswith("$") and f"`{name}`" not in events:
        yield f"no events go to a topic {name}"


def _nothing(_: Command) -> Iterator[str]:
    yield from ()


PROGRAMS: Mapping[str, Check] = {
    "kotaemon": _kotaemon,
    "make": _make,
    "curl": _curl,
    "python": modules.python_problems,
    "python3": modules.python_problems,
    "locust": modules.locust_problems,
    "pip": modules.pip_problems,
    "pipx": modules.pip_problems,
    "sudo": _sudo,
    "kafka-topics.sh": _kafka_topics,
    "helm": deployments.helm_problems,
    "kubectl": deployments.kubectl_problems,
    "docker": deployments.docker_problems,
    "grpcurl": deployments.grpcurl_problems,
    "redis-cli": deployments.redis_problems,
    # Of every machine: nothing that these are told here is ours.
    **dict.fromkeys(
        (
            *("apt-get", "awk", "base64", "cat", "cd", "chmod", "cp", "echo", "git", "grep", "jq"),
            *(
                "kill",
                "ls",
                "mkdir",
                "openssl",
                "rm",
                "scp",
                "sed",
                "sh",
                "sleep",
                "sort",
                "tail",
                "tee",
            ),
            *("tr", "uniq", "wait", "wget", "xargs", "["),
        ),
        _nothing,
    ),
}


def sentence_problems(span: str) -> Iterator[str]:
    """Yield what a command, request or name in capitals in a sentence has that is not there.

    A sentence may name the beginning of a command.
    """
    if told := requests.told_of(span):
        yield from requests.problems(*told)
    elif found := _NAME.fullmatch(span):
        yield from _name_problems(found["name"], found["value"] or "…")
    elif re.match(rf"(?:\.venv/bin/)?({_IN_SENTENCES}) ", span):
        for command in commands(span):
            if command.program == "kotaemon":
                yield from kotaemon_problems(command.words[1:], whole=False)
            elif len(command.words) > 1:
                yield from PROGRAMS[command.program](command)


def _name_problems(name: str, value: str) -> Iterator[str]:
    if name not in _names_of_sources() | _OTHERS and not name.startswith(_EXAMPLES):
        yield f"nothing of ours reads or has {name}"
    elif name in _KNOWN:
        yield from _setting_problems(name, value)
