"""A live experiment: two configurations, and which sessions are answered by which of them.

Law 1: the arm of a session follows from the experiment's name and the session's id alone, so that
       every pod, also one that was started anew, finds the same for every turn of it.
Law 2: another share moves only the sessions whose number lies between the old share and the new.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from kotaemon_node.domain.limits import TOP_K_DEFAULT

RetrieverType = Literal["dense", "lexical", "hybrid"]
ExpanderType = Literal["none", "rewrite", "hyde", "multi_hop"]
ArmName = Literal["a", "b"]

RETRIEVERS: Final[Sequence[str]] = get_args(RetrieverType)
EXPANDERS: Final[Sequence[str]] = get_args(ExpanderType)
EXTRACTIVE: Final = "extractive"
"""As the name of a model: none is asked."""

_NUMBERS: Final = 2**64


@dataclass(frozen=True, slots=True)
class Arm:
    """One configuration as a file says it."""

    retriever: RetrieverType = "hybrid"
    expander: ExpanderType = "rewrite"
    model: str = ""
    """``extractive``, or the name of the cluster's model; "": that, where there is one."""
    temperature: float | None = None
    seed: int | None = None
    top_k: int = TOP_K_DEFAULT


@dataclass(frozen=True, slots=True)
class LiveExperiment:
    """Two arms; ``share`` of the sessions are answered by ``b``, the others by ``a``."""

    name: str
    share: float
    a: Arm
    b: Arm

    def arm_of(self, session_id: str) -> ArmName:
        """Return the arm by which a session is answered."""
        return "b" if place_of(self.name, session_id) < self.share else "a"


def place_of(experiment: str, session_id: str) -> float:
    """Return a number in [0, 1) that stands for the session in this experiment, evenly spread.

    Other experiments spread the same sessions otherwise.
    """
    digest = hashlib.sha256(f"{experiment}\x00{session_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / _NUMBERS


def profile_name(experiment: str, arm: ArmName) -> str:
    """Return the name under which turns, records, metrics and figures tell of an arm."""
    return f"{experiment}/{arm}"


def arms_of(profile: str) -> tuple[str, str]:
    """Read ``profile_name`` back as (experiment, arm); ("", "") where it names none."""
    experiment, _, arm = profile.rpartition("/")
    return experiment, arm if experiment else ""
