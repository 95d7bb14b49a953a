"""Systems that break a rule of conversations that act, and the tests that find each out.

They act or speak where they must not: what clients see of that no run of ``kotaemon_node.proof``
judges, so each is given to the tests that do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.mutants.catalogue import LUA, TOOLS, Change


@dataclass(frozen=True)
class ActingMutant:
    """A broken system and the test file of which at least one test must fail."""

    name: str
    changes: Sequence[Change]
    tests: str


ACTING_MUTANTS: Final = (
    ActingMutant(
        "a call that may act twice is repeated blindly",
        (Change(TOOLS, "again=before is not None,", "again=False,"),),
        "tests/integration/test_effects_once.py",
    ),
    ActingMutant(
        "a yes is carried out by whatever version there is",
        (
            Change(
                TOOLS,
                "if wanted and self.version_of(one.decided.call.name, work) != wanted:",
                "if wanted and self.version_of(one.decided.call.name, work) == '':",
            ),
        ),
        "tests/integration/test_acting_doubts.py",
    ),
    ActingMutant(
        "who writes an answer is not fenced when a person takes over",
        (
            Change(
                f"{LUA}/handoff.lua",
                "redis.call('HSET', turn, 'owner', '', 'fence', fence, 'progress_ms', now)",
                "redis.call('HSET', turn, 'progress_ms', now)",
            ),
        ),
        "tests/integration/test_handoff_fence.py",
    ),
)
