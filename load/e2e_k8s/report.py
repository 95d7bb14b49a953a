"""The report for people: a row for each step."""

from collections.abc import Callable, Mapping
from typing import Any, Final

_ABOUT: Final[Mapping[str, str]] = {
    "install": "`helm install --wait`, Redis and Kafka bundled, namespace `restricted`",
    "helm-test": "`helm test`",
    "conversation": "A conversation through the service",
    "upload": "A document uploaded, served by all pods",
    "delete-pod": "`kubectl delete pod --grace-period=0 --force` in mid-answer",
    "kill-inside": "`kill -9` of the serving process in mid-answer",
    "kill-from-node": "SIGKILL of the container's processes in mid-answer",
    "scale": "The autoscaler under load and back",
    "upgrade": "`helm upgrade` from the build before and `helm rollback`, under load",
    "surroundings": "Namespace and volumes",
}


def report(found: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    cluster = found["cluster"]
    lines = [
        "# The chart on a real Kubernetes",
        "",
        f"Commit {found['commit']}; {found['machine']}; Kubernetes {cluster['kubernetes']},"
        f" Helm {cluster['helm']}, {cluster['nodes']} node(s); image {found['image']};"
        f" {found['clients']} clients under load. Made by `make e2e-k8s`.",
        "",
        "| what | result | figures |",
        "|---|---|---|",
    ]
    for name, step in found["steps"].items():
        result = "**failed**" if "failed" in step else "as it should be"
        lines.append(f"| {_ABOUT[name]} | {result} | {_figures(name, step)} |")
    return "\n".join([*lines, ""])


def _figures(name: str, step: Mapping[str, Any]) -> str:
    if "failed" in step:
        return str(step["failed"]).replace("|", "/").replace("\n", " ")[:500]
    return _FIGURES.get(name, _killed)(step)


def _uploaded(step: Mapping[str, Any]) -> str:
    return (
        f"published after {step['published_s']} s, served by all {len(step['pods'])} pods after"
        f" {step['all_pods_s']} s"
    )


def _killed(step: Mapping[str, Any]) -> str:
    gaps = ", ".join(f"{one['longest_gap_ms']:.0f}" for one in step["rounds"])
    return (
        f"the text went on after {gaps} ms (usual: {step['rounds'][0]['usual_gap_ms']:.0f} ms) and"
        f" equals that of an undisturbed turn; all workers ready again within"
        f" {step['ready_again_s']} s"
    )


def _scaled(step: Mapping[str, Any]) -> str:
    least, most, _ = step["workers"]
    return (
        f"{least} → {most} ready in {step['up_s']} s, back in {step['down_s']} s; under load"
        f" {_talked(step['under_load'])}; on the way down {_talked(step['on_the_way_down'])}"
    )


def _upgraded(step: Mapping[str, Any]) -> str:
    return (
        f"{step['from']} → {step['to']} in {step['upgrade_s']} s, back in {step['rollback_s']} s;"
        f" {_talked(step['under_load'])}"
    )


def _talked(seen: Mapping[str, Any]) -> str:
    turns, readers = seen["turns"], seen["readers"]
    return (
        f"{turns['sent']} turns by {seen['clients']} clients, {turns['first_try_errors']} errors,"
        f" {len(seen['violations'])} violations, {readers['taken_over']} takeovers seen,"
        f" {readers['tried_again']} streams resumed"
    )


_FIGURES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "install": lambda step: f"{len(step['pods'])} pods ready after {step['ready_s']} s",
    "helm-test": lambda step: f"{step['seconds']} s",
    "conversation": lambda step: (
        f"first text after {step['first_text_ms']} ms, {step['texts']} texts"
    ),
    "upload": _uploaded,
    "scale": _scaled,
    "upgrade": _upgraded,
}
