"""Laws of the ledger: owners may be lost anywhere, and what is said of a call is true."""

from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kotaemon_node.engine.ledger import Outcome
from kotaemon_node.ports.tools import Found, ToolFailed, ToolOutcomeUnknown
from tests.calls import Calls, Writer

Loss = Literal["stored", "sending", "acted", "refused", "not now", "unreached", "silent"]
"""Lost as the claim is stored, before the tool acted, behind it; or the tool refuses, has no time,
is not there, acts and says nothing."""
LOSSES: tuple[Loss, ...] = Loss.__args__  # type: ignore[attr-defined]
Kind = Literal["keys", "lookup", "neither"]


class Lost(Exception):
    """Ends the turn where it is."""


class Durable(Writer):
    """A writer of which only what was drained is there for another owner."""

    def __init__(self, journal: Mapping[str, Any], *, dies: bool) -> None:
        super().__init__(journal)
        self.durable = dict(journal)
        self._dies = dies

    def drain(self) -> None:
        self.durable = dict(self.journal)
        if self._dies:
            raise Lost


class Shop:
    """Acts as often as it is asked, or once for each key."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.keys: set[str] = set()
        self.acted = 0
        self.loss: Loss | None = None

    def act(self, _: Any, key: str) -> Any:
        if self.loss == "sending":
            raise Lost
        if self.loss == "not now":
            raise ToolFailed("too many requests", reached=True, fault=True)
        if self.loss == "refused" and key not in self.keys:
            raise ToolFailed("the order was sent", reached=True)
        if self.loss == "unreached":
            raise ToolFailed("it cannot be reached", reached=False)
        if self.kind != "keys" or key not in self.keys:
            self.acted += 1
            self.keys.add(key)
        if self.loss == "acted":
            raise Lost
        if self.loss == "silent":
            raise ToolOutcomeUnknown("no answer came")
        return "cancelled"

    def found(self) -> Found | None:
        return Found(bool(self.acted), "cancelled") if self.kind == "lookup" else None


@pytest.mark.parametrize("kind", ["keys", "lookup", "neither"])
@settings(max_examples=40, deadline=None)
@given(losses=st.lists(st.sampled_from(LOSSES), max_size=4), keeps=st.booleans())
def test_an_effect_happens_once_and_its_outcome_is_true_or_unknown(
    kind: Kind, losses: list[Loss], keeps: bool
) -> None:
    calls, shop = Calls(), Shop(kind)
    effects = "idempotent" if kind == "keys" else "once"
    calls.tools.add("cancel", shop.act, effects, looks_up=kind == "lookup")  # type: ignore[arg-type]
    journal: Mapping[str, Any] = {}
    outcome: Outcome | None = None
    for loss in [*losses, None]:
        shop.loss = loss
        calls.tools.found = shop.found()
        out = Durable(journal, dies=loss == "stored")
        try:
            (outcome,) = calls.run(out, ("cancel", {}))
        except Lost:
            # What was written and not drained may be there, or not.
            journal = out.journal if keeps else out.durable
            continue
        break
    assert outcome is not None
    assert shop.acted <= 1
    if outcome.state == "done":
        assert shop.acted == 1
    if outcome.state == "failed":
        assert shop.acted == 0
    # And whoever comes later has the same, and asks nobody
    asked = len(calls.tools.called)
    (again,) = calls.run(Durable(out.journal, dies=False), ("cancel", {}))
    assert (again.state, again.told) == (outcome.state, outcome.told)
    assert len(calls.tools.called) == asked
