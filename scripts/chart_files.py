"""Writes what is made for the chart: the names of settings, its README's table, and deploy/k8s.

``make chart`` runs it after a change of helm/kotaemon or of a setting; tests fail until then.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import AliasChoices

from coordinator.settings import CoordinatorSettings

ROOT: Final = Path(__file__).resolve().parents[1]
CHART: Final = ROOT / "helm" / "kotaemon"
README: Final = CHART / "README.md"
MANIFESTS: Final = ROOT / "deploy" / "k8s"
SETTINGS: Final = CHART / "files" / "settings"

_MARKS: Final = ("<!-- values: made by make chart -->\n", "<!-- end of values -->\n")
_LINE: Final = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z0-9]+):.*?(?: # (?P<comment>.*))?$")
RELEASE: Final = "kotaemon"
NAMESPACE: Final = """\
apiVersion: v1
kind: Namespace
metadata:
  name: kotaemon
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""
# Without a secret of the chart's own, whose values would be new each time.
OPTIONS: Final = (
    *("--namespace", RELEASE, "--kube-version", "1.28.0", "--skip-tests"),
    *("--set", "secrets.existingSecret=kotaemon-secrets"),
    *("--set", "encryption.existingSecret=kotaemon-encryption"),
    *("--set", "audit.existingSecret=kotaemon-audit"),
)
# What only Helm needs.
_HELMS_OWN: Final = re.compile(r"^ *(?:app\.kubernetes\.io/managed-by|helm\.sh/chart): .*\n", re.M)


# --- settings -------------------------------------------------------------------------------------


def settings() -> str:
    """Return the names that ``config`` may have, one a line: the chart refuses others."""
    names = set(CoordinatorSettings.model_fields)
    for field in CoordinatorSettings.model_fields.values():
        if isinstance(field.validation_alias, AliasChoices):
            names.update(map(str, field.validation_alias.choices))
    return "".join(f"{name.upper()}\n" for name in sorted(names))


# --- README ---------------------------------------------------------------------------------------


def values(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path and the comment of each key of ``values.yaml`` that has one."""
    path: list[str] = []
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        path[len(found["indent"]) // 2 :] = [found["key"]]
        if found["comment"]:
            yield tuple(path), found["comment"]


def table(text: str) -> str:
    """Return the Markdown table of ``values.yaml``: name, default, meaning."""
    rows = dict(values(text))
    defaults = yaml.safe_load(text)
    lines = ["| value | default | means |", "|---|---|---|"]
    for path, comment in rows.items():
        heads = any(other[: len(path)] == path and other != path for other in rows)
        default = "" if heads else f"`{_shown(_at(defaults, path))}`"
        lines.append(f"| `{'.'.join(path)}` | {default} | {comment.replace('|', '&#124;')} |")
    return "\n".join(lines) + "\n"


def _at(defaults: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    found: Any = defaults
    for key in path:
        found = found[key]
    return found


def _shown(value: Any) -> str:
    return value or '""' if isinstance(value, str) else json.dumps(value)


def readme(text: str, values_text: str) -> str:
    """Return the README with a new table between its marks."""
    begins, ends = _MARKS
    before, _, rest = text.partition(begins)
    _, _, after = rest.partition(ends)
    return f"{before}{begins}\n{table(values_text)}\n{ends}{after}"


# --- deploy/k8s -----------------------------------------------------------------------------------


def render(helm: str) -> str:
    """Return what Helm makes of the chart; ``CalledProcessError`` with its words on stderr."""
    command = [helm, "template", RELEASE, str(CHART), *OPTIONS]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def manifests(rendered: str) -> dict[str, str]:
    """Return the files of deploy/k8s by name: one for each folder of templates."""
    files: dict[str, list[str]] = {}
    for piece in _HELMS_OWN.sub("", rendered).split("---\n# Source: kotaemon/templates/")[1:]:
        source, _, text = piece.partition("\n")
        part = source.partition("/")[0].removesuffix(".yaml")
        files.setdefault(f"{part}.yaml", []).append(text.strip("\n") + "\n")
    texts = {name: "---\n".join(sorted(pieces)) for name, pieces in files.items() if any(pieces)}
    head = "# Made from helm/kotaemon by `make chart`; do not edit.\n"
    return {"00-namespace.yaml": head + NAMESPACE} | {
        name: head + text for name, text in sorted(texts.items())
    }


def main(helm: str) -> None:
    """Write everything; the chart reads the settings itself."""
    SETTINGS.write_text(settings(), "utf-8")
    values_text = (CHART / "values.yaml").read_text("utf-8")
    README.write_text(readme(README.read_text("utf-8"), values_text), "utf-8")
    made = manifests(render(helm))
    for old in MANIFESTS.glob("*.yaml"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (MANIFESTS / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
