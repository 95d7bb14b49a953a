"""Gives a block to the code that reads such files, or holds it against what the product says.

Each reader raises where the block is wrong. ``READERS`` has them by the names of ``blocks.yaml``.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

import grpc
import jsonschema
import kubernetes_validate
import yaml
from rich.console import Console

from kotaemon_node.adapters.documents import faq_file
from kotaemon_node.adapters.experiments import live
from kotaemon_node.adapters.intents import service
from kotaemon_node.adapters.system.limits_file import read_limits
from kotaemon_node.adapters.webhooks import read_webhooks
from kotaemon_node.audit_log.findings import MEANINGS
from kotaemon_node.cli import audit
from kotaemon_node.domain.events import TurnLogged
from kotaemon_node.engine.understanding.rewriting import stand_alone
from kotaemon_node.engine.understanding.topics import Exchange
from kotaemon_node.ports.tools import Caller, found_of
from kotaemon_node.rpc import kotaemon_pb2
from load.scenarios import talks
from tests.documented import messages
from tests.documented.blocks import ROOT, Block, blocks_of
from tests.helm_chart import OLDEST, helm, rendered

Reader = Callable[[Block, Path], None]
_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_COMPOSE = ROOT / "tests" / "schemas" / "compose-spec" / "compose-spec.json"


def _file(block: Block, folder: Path) -> Path:
    file = folder / "block.yaml"
    file.write_text(block.text, "utf-8")
    return file


def _limits(block: Block, folder: Path) -> None:
    assert read_limits(_file(block, folder))


def _talks(block: Block, folder: Path) -> None:
    assert talks.read(_file(block, folder)).questions


def _live_experiment(block: Block, folder: Path) -> None:
    assert live.read_live(_file(block, folder)).share


def _webhooks(block: Block, folder: Path) -> None:
    (folder / "secret").write_text(_SECRET)
    text = re.sub(r"secret_file: .*", f"secret_file: {folder / 'secret'}", block.text)
    file = folder / "webhooks.yaml"
    file.write_text(text)
    assert read_webhooks(file, environment={"SHOP_WEBHOOK_SECRET": _SECRET}.get)


def _chart_values(block: Block, folder: Path) -> None:
    done = subprocess.run(
        [helm(), "template", "shop", str(ROOT / "helm" / "kotaemon"), "-f", _file(block, folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    plain = subprocess.run(
        [helm(), "template", "shop", str(ROOT / "helm" / "kotaemon")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout != plain.stdout, "these values change nothing"


def _compose(block: Block, folder: Path) -> None:
    told = yaml.safe_load(block.text)
    jsonschema.Draft202012Validator(json.loads(_COMPOSE.read_text("utf-8"))).validate(told)
    there = yaml.safe_load((ROOT / "deploy" / "compose" / "compose.yaml").read_text("utf-8"))
    for one in told["services"].values():
        assert set(one.get("networks", ())) <= there["networks"].keys()
        if "extends" in one:
            assert one["extends"]["service"] in there["services"]
            of = there["services"][one["extends"]["service"]]["environment"]
            assert one["environment"].keys() <= of.keys()


def _pod(block: Block, folder: Path) -> None:
    """A part of a pod: put in the place of the chart's, it is one that Kubernetes takes."""
    told = yaml.safe_load(block.text)
    worker = next(
        it
        for it in rendered()
        if it["kind"] == "StatefulSet" and it["metadata"]["name"].endswith("-worker")
    )
    made = json.loads(json.dumps(worker))
    pod = made["spec"]["template"]["spec"]
    pod["containers"][0]["lifecycle"] = told.pop("lifecycle")
    kubernetes_validate.validate(made | {}, OLDEST, strict=True)
    assert told.keys() <= pod.keys()
    pod.update(told)
    kubernetes_validate.validate(made, OLDEST, strict=True)


def _outcome(block: Block, folder: Path) -> None:
    assert found_of("a tool", json.loads(block.text)).took_effect


def _intent_question(block: Block, folder: Path) -> None:
    shown = json.loads(block.text)
    context = service.IntentContext(
        caller=Caller("default", "s1", None, slots={"order_id": "1003"}), topic="", previous=()
    )
    assert shown.keys() == service._asked("Where is it?", context).keys()


def _grpc_service(block: Block, folder: Path) -> None:
    told = json.loads(block.text)
    [name] = told["methodConfig"][0]["name"]
    services = kotaemon_pb2.DESCRIPTOR.services_by_name.values()
    assert name["service"] in {it.full_name for it in services}
    options = [("grpc.service_config", block.text), ("grpc.enable_retries", 1)]
    grpc.insecure_channel("127.0.0.1:1", options=options).close()


def _turn_log_template(block: Block, folder: Path) -> None:
    shown = json.loads(block.text)["template"]["mappings"]["properties"]
    assert shown.keys() - {"@timestamp"} <= {it.name for it in fields(TurnLogged)}
    asked = next(it for it in blocks_of(block.page) if "_search?size=0" in it.text)
    for name in re.findall(r'"(?:field|term)": (?:\{)?"([\w.@]+)"', asked.text):
        assert name.partition(".")[0] in shown, name


def _faq_line(block: Block, folder: Path) -> None:
    assert faq_file.parse_faq_file(block.text, name="a.faq.json").title


def _answer_headers(block: Block, folder: Path) -> None:
    told = "\n".join(it.read_text("utf-8") for it in (ROOT / "kotaemon_node" / "api").glob("*.py"))
    for line in block.text.splitlines()[1:]:
        name = line.partition(":")[0]
        assert f'"{name}"' in told, f"no answer has {name}"


def _findings(block: Block, folder: Path) -> None:
    """What the command prints: made again from a log with such a finding."""
    head, finding = block.text.splitlines()
    kind, _, text = finding.strip().partition("  ")
    assert kind in MEANINGS
    found = re.fullmatch(r"(\w+): (\d+) entries, (\S+) to (\S+), (\d+) volumes: 1 findings", head)
    assert found, head
    told = audit.Verification(found[1], int(found[2]), found[3], found[4], volumes=int(found[5]))
    told.add(kind, 0, 1234, text)  # type: ignore[arg-type]
    console = Console(width=200)
    with console.capture() as printed:
        shown, audit.out = audit.out, console
        try:
            audit._show(told, spans=False)
        finally:
            audit.out = shown
    assert printed.get().strip() == block.text


def _follow_ups(block: Block, folder: Path) -> None:
    """Each ``searched:`` is what the rules make of the message, behind the question above it."""
    above: list[Exchange] = []
    rows = [re.split(r"\s{2,}", line, maxsplit=1) for line in block.text.splitlines()]
    for message, answer in rows:
        searched = answer.removeprefix("searched: ")
        if searched == answer:
            above = [Exchange(message, answer)]
        else:
            assert stand_alone(message, above) == searched


def _auth0_action(block: Block, folder: Path) -> None:
    """The claim that the action sets is the one that the settings behind it read."""
    settings = next(it for it in blocks_of(block.page) if "auth0.com" in it.text)
    claims = re.findall(r'setCustomClaim\("([^"]+)"', block.text)
    assert claims
    assert set(claims) == set(re.findall(r"OIDC_ROLE_CLAIM=(\S+)", settings.text))
    if node := shutil.which("node"):
        script = (
            f"{block.text}\nconst told = {{}};\n"
            "const token = {setCustomClaim: (name, value) => { told[name] = value; }};\n"
            "exports.onExecutePostLogin({authorization: {roles: ['editor']}},"
            " {idToken: token, accessToken: token}).then(() => console.log(JSON.stringify(told)));"
        )
        done = subprocess.run([node, "-e", script], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == {name: ["editor"] for name in claims}


READERS: Mapping[str, Reader] = {
    "error_answer": messages.error_answer,
    "frame": messages.frame,
    "message": messages.message,
    "probes": messages.probes,
    "reply": messages.reply,
    "socket_message": messages.socket_message,
    "webhook": messages.webhook,
    "answer_headers": _answer_headers,
    "auth0_action": _auth0_action,
    "chart_values": _chart_values,
    "compose": _compose,
    "faq_line": _faq_line,
    "findings": _findings,
    "follow_ups": _follow_ups,
    "grpc_service": _grpc_service,
    "intent_question": _intent_question,
    "limits": _limits,
    "live_experiment": _live_experiment,
    "outcome": _outcome,
    "pod": _pod,
    "talks": _talks,
    "turn_log_template": _turn_log_template,
    "webhooks": _webhooks,
}
