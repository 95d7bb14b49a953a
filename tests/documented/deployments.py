"""Whether what pages tell Helm, kubectl, docker, grpcurl and redis-cli names what is there."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from itertools import pairwise
from pathlib import Path

from google.protobuf.descriptor_pool import Default

from kotaemon_node.rpc import kotaemon_pb2
from tests import compose_file, helm_chart
from tests.documented.shell import Command, commands

ROOT = Path(__file__).resolve().parents[2]
_HELM = {"history", "install", "upgrade", "rollback", "test", "uninstall"}
_COMPOSE = {
    "build", "config", "cp", "down", "exec", "logs", "ps", "pull", "restart", "run", "start",
    "stop", "up",
}  # fmt: skip
_TAKES_A_WORD = {"--entrypoint", "--profile", "--file", "-f", "--user", "--env", "-e"}
_REDIS = {
    "acl", "del", "get", "hgetall", "info", "keys", "latency", "memory", "ping", "shutdown",
    "slowlog", "ttl", "type", "config", "client", "hget", "zcard", "xinfo", "xlen",
}  # fmt: skip


def helm_problems(command: Command) -> Iterator[str]:
    """Yield what the chart does not have."""
    words = command.words[1:]
    if words and words[0] not in _HELM:
        yield f"helm {words[0]}: no check knows it"
    for word in words:
        if word.startswith("helm/") and not (ROOT / word / "Chart.yaml").is_file():
            yield f"no chart {word}"
    sets = [
        pair for option, value in pairwise(words) if option == "--set" for pair in value.split(",")
    ]
    if sets:
        yield from values_problems(sets)


def values_problems(sets: list[str]) -> Iterator[str]:
    """Yield what the chart says against ``path=value`` of ``--set``; empty values are anything."""
    told = []
    for pair in sets:
        name, _, value = pair.partition("=")
        if not _known(name):
            yield f"the chart has no value {name}"
        elif value and not re.search(r"…|[A-Z]{3,}", value):
            told.append(
                f"{name}={value if re.fullmatch(r'true|false|[0-9]+', value) else _text(value)}"
            )
    if told:
        done = helm_chart._template((), tuple(told))
        if done.returncode:
            yield f"--set {','.join(told)}: {done.stderr.strip()[-300:]}"


def kubectl_problems(command: Command) -> Iterator[str]:
    """Yield the objects that no preset and no example of the chart makes."""
    words = [word for word in command.words[1:] if word != "-it"]
    if "--" in words:
        behind = tuple(words[words.index("--") + 1 :])
        words = words[: words.index("--")]
        if behind and behind[0] in {"redis-cli", "kotaemon"}:
            from tests.documented.programs import PROGRAMS

            yield from PROGRAMS[behind[0]](Command(0, behind, ()))
    for word in words:
        name = re.sub(
            r"^(?:--from=)?(?:cronjob/)?(?:RELEASE|F(?=-)|shop(?=-kotaemon))", "shop", word
        )
        name = name.replace("shop-kotaemon", "shop").replace("shop-", "shop-kotaemon-", 1)
        if name.startswith("shop-kotaemon-") and not _is_there(name):
            yield f"kubectl: the chart makes no {word}"
    for option, value in pairwise(words):
        if option == "-l" and value.partition("=")[0] not in _labels():
            yield f"kubectl: the chart sets no label {value}"


def docker_problems(command: Command) -> Iterator[str]:
    """Yield services, profiles and files that Compose's file does not have."""
    words = list(command.words[1:])
    if words[:1] == ["compose"]:
        yield from _compose_problems(words[1:])
        return
    for word in words:
        if word.endswith("Dockerfile") and not (ROOT / word).is_file():
            yield f"no file {word}"


def _compose_problems(words: list[str]) -> Iterator[str]:
    known = compose_file.load()["services"]
    options, (verb, *named) = _options_of(words)
    profiles = {name for told in known.values() for name in told.get("profiles", ())}
    said = dict(options)
    file = said.get("--file", said.get("-f", "deploy/compose/compose.yaml"))
    if not (ROOT / file).is_file():
        yield f"docker compose: no file {file}"
    if "--profile" in said and said["--profile"] not in profiles:
        yield f"docker compose: no profile {said['--profile']}"
    if verb not in _COMPOSE:
        yield f"docker compose {verb}: no check knows it"
    inside = verb in {"run", "exec"}
    for service in named[:1] if inside else named:
        if service not in known:
            yield f"docker compose: no service {service}"
    if inside and "--entrypoint" not in words:
        yield from _inside(named[0], tuple(words[words.index(named[0]) + 1 :]))


def _options_of(words: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return options with their values, and the other words, up to those of the inner program."""
    left, options, others = list(words), [], [""]
    while left:
        word = left.pop(0)
        if word in _TAKES_A_WORD:
            options.append((word, left.pop(0) if left else ""))
        elif not word.startswith("-"):
            others = [*filter(None, others), word]
            if len(others) > 1 and others[0] in {"run", "exec"}:
                break
    return options, others


def _inside(service: str, words: tuple[str, ...]) -> Iterator[str]:
    from tests.documented.programs import PROGRAMS, kotaemon_problems

    if service == "admin":
        yield from kotaemon_problems(words)
    elif words[:2] == ("sh", "-c"):
        for command in commands(words[2]):
            if command.words:
                yield from PROGRAMS[command.program](command)


def grpcurl_problems(command: Command) -> Iterator[str]:
    """Yield a method that the service does not have."""
    service, _, method = command.words[-1].rpartition("/")
    assert kotaemon_pb2.DESCRIPTOR is not None
    found = Default().FindServiceByName(service)
    if method not in found.methods_by_name:
        yield f"gRPC: {service} has no {method}"


def redis_problems(command: Command) -> Iterator[str]:
    """Yield a command that pages do not use elsewhere, and keys that nothing here writes."""
    words = list(command.words[1:])
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option in {"-p", "-h", "--pattern", "-u"} and words:
            value = words.pop(0)
            if option == "--pattern" and value.split(":")[1] not in _key_families():
                yield f"no keys are named {value}"
    if words and words[0].lower() not in _REDIS:
        yield f"redis-cli {words[0]}: no check knows it"


@cache
def compose_variables() -> frozenset[str]:
    """Return what ``.env`` may say to Compose's file."""
    return frozenset(compose_file.variables_used())


@cache
def _key_families() -> frozenset[str]:
    folder = ROOT / "kotaemon_node" / "adapters" / "redis"
    text = "\n".join(path.read_text("utf-8") for path in folder.glob("*key*.py"))
    return frozenset(re.findall(r'"kn:([a-z]+)', text)) | {"default"}  # a tenant


@cache
def _objects() -> tuple[helm_chart.Object, ...]:
    files = [(), *((path,) for path in (*helm_chart.PRESETS, *helm_chart.EXAMPLES))]
    return tuple(it for these in files for it in helm_chart.rendered(*these))


@cache
def _labels() -> frozenset[str]:
    return frozenset(name for it in _objects() for name in it["metadata"].get("labels", {}))


def _is_there(name: str) -> bool:
    names = {str(it["metadata"]["name"]) for it in _objects()}
    pods = {f"{it['metadata']['name']}-[0-9]*" for it in _objects() if it["kind"] == "StatefulSet"}
    return name in names or any(fnmatchcase(name, pattern) for pattern in pods)


@cache
def _values() -> frozenset[str]:
    text = (helm_chart.CHART / "README.md").read_text("utf-8")
    return frozenset(re.findall(r"(?m)^\| `([\w.]+)` \|", text))


def _known(name: str) -> bool:
    return any(
        it == name or name.startswith(f"{it}.") or it.startswith(f"{name}.") for it in _values()
    )


def _text(value: str) -> str:
    return f'"{value}"'
