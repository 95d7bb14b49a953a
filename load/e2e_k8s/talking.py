"""Clients that talk while a step does something to the cluster, and what they must have seen."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from load.e2e_k8s.kube import StepFailed
from load.e2e_k8s.scene import Scene

_SHOWN = 5


@contextmanager
def talking(here: Scene, *, seed: int, found: dict[str, Any], clients: int = 0) -> Iterator[None]:
    """Have clients talk for as long as the block runs; ``found`` gets what they saw.

    ``clients``: how many; 0: as many as the run was asked for.
    """
    number = clients or here.wishes.clients
    talk = here.start_inside("talk.py", f"--clients={number}", f"--seed={seed}")
    try:
        talk.next("talking")
        yield
        found.update(talk.stop())
        del found["event"]
    finally:
        talk.end()


def check_clean(found: Mapping[str, Any], *, when: str) -> None:
    """Make sure that no promise was broken and no client was shown an error; ``StepFailed``."""
    outcomes = found["turns"]["outcomes"]
    wrong = {
        "violations": found["violations"],
        "reader problems": found["reader_problems"],
        "histories that could not be read": found["histories_not_read"],
        "requests that failed": found["read_errors"],
        "first tries that failed": found["turns"]["first_try_reasons"],
        "turns that were not done": {
            name: number for name, number in outcomes.items() if name != "done"
        },
    }
    told = [f"{name}: {_first(what)}" for name, what in wrong.items() if what]
    if told:
        raise StepFailed(f"{when}: {'; '.join(told)}", {"seen": dict(found)})
    if not outcomes.get("done"):
        raise StepFailed(f"{when}: the clients had no turn at all, which shows nothing")


def _first(what: Any) -> str:
    return str(what[:_SHOWN] if isinstance(what, list) else what)
