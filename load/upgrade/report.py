"""The report for people: what clients saw, and a row for each process that was replaced."""

from collections.abc import Mapping
from typing import Any

from load.upgrade.run import right


def report(found: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    turns, crossed = found["turns"], found["crossings"]
    outcomes = ", ".join(f"{name} {times}" for name, times in turns["outcomes"].items())
    settings = ", ".join(f"{name}={text}" for name, text in found["settings"].items()) or "none"
    lines = [
        "# Old and new versions side by side",
        "",
        f"Old: {found['old']}. New: {found['commit']}; {found['machine']}, load"
        f" {found['load']:.1f}. {found['workers']} workers, {found['writers']} writers, a word"
        f" every {found['pace']['token_ms']:g} ms, seed {found['seed']}; each mixture for"
        f" {found['side_by_side_s']:g} s. Set meanwhile: {settings}."
        " Made by `python -m load.upgrade`; what it does: [upgrade](../../docs/how-to/upgrade.md).",
        "",
        f"**{'As it should be' if right(found) else 'Not as it should be'}**:"
        f" {len(found['violations'])} violations of the rules of `kotaemon_node.proof` in"
        f" {turns['sent']} turns ({outcomes}) within {found['seconds']:.0f} s; {found['effects']}"
        f" effects of tools; {turns['answered_first_time_percent']} % answered at the first try.",
        "",
        "| a turn went on | times |",
        "|---|---|",
        *(f"| from {way.replace(' to ', ' on ')} | {times} |" for way, times in crossed.items()),
        "",
        "| step | becomes | how | turns on it | all ready again |",
        "|---|---|---|---|---|",
        *(
            f"| {step['process']} | {step['to']} | {step['how']} | {step['turns_on_it']} |"
            f" {step['ready_again_s']} s |"
            for step in found["steps"]
        ),
        "",
    ]
    wrong = [*found["violations"], *found["failures"], *found["reader_problems"]]
    return "\n".join([*lines, *(f"- {one}" for one in wrong), *([""] if wrong else [])])
