"""How answers are made: one configuration, as experiments compare them."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Final, Literal

from kotaemon_node.domain.experiment import (
    EXTRACTIVE,
    Arm,
    ArmName,
    ExpanderType,
    LiveExperiment,
    RetrieverType,
    profile_name,
)
from kotaemon_node.domain.knowledge import BOTH_LEGS, Leg
from kotaemon_node.domain.limits import EVIDENCE_MIN, TOP_K_DEFAULT
from kotaemon_node.ports.sessions import Work

GeneratorType = Literal["model", "extractive"]
DEFAULT_NAME: Final = "default"


@dataclass(frozen=True)
class AnswerProfile:
    """One configuration. ``generator`` "model" is extractive where no language model is set."""

    name: str = DEFAULT_NAME
    retriever: RetrieverType = "hybrid"
    top_k: int = TOP_K_DEFAULT
    expander: ExpanderType = "rewrite"
    """What makes the question that is searched of the one that was asked."""
    generator: GeneratorType = "model"
    evidence_min: float = EVIDENCE_MIN
    """How much must speak for a passage, or an extractive answer is "I don't know"."""
    sampling: Mapping[str, float] = field(default_factory=dict)
    """``temperature`` and ``seed``, sent to the model; empty: the server's own."""

    @property
    def label(self) -> str:
        """What turns are marked with: "" for the default one, which needs no mark."""
        return "" if self.name == DEFAULT_NAME else self.name

    @property
    def legs(self) -> frozenset[Leg]:
        """By which ways its retriever searches."""
        match self.retriever:
            case "hybrid":
                return BOTH_LEGS
            case one:
                return frozenset({one})

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over everything but the name: alike where answers are made alike."""
        said = {**asdict(self), "name": ""}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


DEFAULT_PROFILE: Final = AnswerProfile()

ProfileOf = Callable[[Work], AnswerProfile]
"""Tells by which configuration a turn is answered; the same for every turn of a session."""


def always_default(work: Work) -> AnswerProfile:
    """Answer every turn by the one configuration that there is."""
    return DEFAULT_PROFILE


def asking_for(profile_of: ProfileOf, evidence_min: float) -> ProfileOf:
    """Have every configuration ask for so much evidence."""
    made: dict[str, tuple[AnswerProfile, AnswerProfile]] = {}

    def profile(work: Work) -> AnswerProfile:
        given = profile_of(work)
        known = made.get(given.name)
        if known is None or known[0] is not given:
            # One object for all turns: its fingerprint is worked out once.
            known = made[given.name] = (given, replace(given, evidence_min=evidence_min))
        return known[1]

    return profile


def split(experiment: LiveExperiment) -> ProfileOf:
    """Answer each session by one arm of ``experiment``, always the same one."""
    arms: Mapping[ArmName, AnswerProfile] = {
        "a": _profile(experiment, "a", experiment.a),
        "b": _profile(experiment, "b", experiment.b),
    }

    def profile_of(work: Work) -> AnswerProfile:
        return arms[experiment.arm_of(work.lease.key.session.session_id)]

    return profile_of


def _profile(experiment: LiveExperiment, name: ArmName, arm: Arm) -> AnswerProfile:
    sampling = {"temperature": arm.temperature, "seed": arm.seed}
    return AnswerProfile(
        name=profile_name(experiment.name, name),
        retriever=arm.retriever,
        top_k=arm.top_k,
        expander=arm.expander,
        generator="extractive" if arm.model == EXTRACTIVE else "model",
        sampling={name: value for name, value in sampling.items() if value is not None},
    )
