"""How many kinds of refusals are told apart in a minute is bounded, whatever they differ in."""

from dataclasses import replace

from kotaemon_node.audit_log.alike import Alike
from kotaemon_node.domain import audit_limits as limits
from tests.audit_logs import event


def test_reasons_of_any_number_make_no_more_kinds_than_there_may_be() -> None:
    """Beyond the bound they count together: neither told each, nor held."""
    alike, refused = Alike(), event(outcome="refused")
    told = [
        alike.told(replace(refused, detail={"reason": f"reason {number}"}), now_s=0.0)
        for number in range(20_000)
    ]
    assert sum(one is not None for one in told) == limits.AUDIT_ALIKE_MAX + 1
    [others] = alike.all()
    assert dict(others.detail) == {"count": 20_000 - limits.AUDIT_ALIKE_MAX - 1}
