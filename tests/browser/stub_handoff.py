"""The stub's sessions go to a person and back, as those of pods do."""

from typing import Any

from tests.browser.stub_turns import Script, StubTurn


def waiting(turn_id: str, message: str) -> StubTurn:
    """Return a turn that a person is to answer."""
    turn = StubTurn(turn_id, message, Script(), said={"handoff": True})
    turn.end("done")
    return turn


def hand_off(handler: Any, sid: str, *, body: Any) -> None:
    """Give the session to a person; what runs ends as interrupted."""
    world = handler.world
    handoff = {"since": 17.5, "reason": "", "by": "customer"}
    world.handoffs[sid] = handoff
    running = [turn for turn in world.sessions[sid] if turn.state == "running"]
    if running:
        running[0].said = {"event": "handoff"}
        running[0].add("handoff", active=True, **handoff)
        running[0].end("interrupted")
    else:
        _happened(world, sid, "handoff", active=True)
    handler._json(200, {"session_id": sid, "handoff": handoff})


def hand_back(handler: Any, sid: str, *, body: Any) -> None:
    """Give it back."""
    handler.world.handoffs.pop(sid, None)
    _happened(handler.world, sid, "handback", active=False)
    handler._json(200, {"session_id": sid, "handoff": None})


def person_says(world: Any, sid: str, text: str, *, name: str) -> None:
    """Add what a person says."""
    turn = StubTurn(f"agent-{len(world.sessions[sid])}", "", Script())
    turn.said = {"author": "agent", "name": name}
    turn.add("text", content=text, offset=0, author="agent", name=name)
    turn.end("done")
    world.sessions[sid].append(turn)


def _happened(world: Any, sid: str, event: str, *, active: bool) -> None:
    turn = StubTurn(f"{event}-{len(world.sessions[sid])}", "", Script(), said={"event": event})
    turn.add("handoff", active=active, since=17.5, reason="", by="customer")
    turn.end("done")
    world.sessions[sid].append(turn)
