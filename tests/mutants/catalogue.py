"""Systems that break a rule of their own. None of it is a switch in the product.

Each is a copy of the tree in which a text of a file is replaced, the faults that show it, and the
rules of ``kotaemon_node.proof`` of which at least one must be red. Those without any rule survive:
they say why no client sees the harm, and which other test does, where one does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Change:
    """In this file, this text stands once and is replaced."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A broken system, what shows it, and how it is found out."""

    name: str
    changes: Sequence[Change]
    rules: frozenset[str]
    faults: str = "kill_worker,kill_in_series"
    token_ms: int = 30
    writers: int = 8
    survives: str = ""
    """Why no rule needs to be red."""
    story: str = ""
    """The fault of tests/property/test_turn_protocol.py that is the same one."""


LUA = "kotaemon_node/adapters/redis/lua"
APPEND, COMMIT, CLAIM = f"{LUA}/append.lua", f"{LUA}/commit.lua", f"{LUA}/claim.lua"
FORGET, WORK = f"{LUA}/forget.lua", f"{LUA}/_work.lua"
READS = "kotaemon_node/adapters/redis/session_reads.py"
BOOTSTRAP, RUNNING = "kotaemon_node/bootstrap.py", "kotaemon_node/running.py"
ENGINE = "kotaemon_node/engine"
GROUP, EXECUTION = f"{ENGINE}/group_commit.py", f"{ENGINE}/execution.py"
WRITING = f"{ENGINE}/writing.py"
DRAFT, TOOLS = f"{ENGINE}/answer_draft.py", f"{ENGINE}/tool_steps.py"
FINDING = f"{ENGINE}/finding.py"
FOLLOWING, OWNERS = f"{ENGINE}/following.py", f"{ENGINE}/owners.py"
RECOVERY = f"{ENGINE}/recovery.py"
# What one reader saw under a number is not what another one sees, or its text does not fit.
FRAMES: Final = frozenset(
    {"readers_agree", "text_is_the_answer", "sequence_is_whole", "terminal_is_one"}
)
HELD: Final = "if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] or held[3]"
NO_LOSS_IS_TOLD: Final = Change(
    WORK, "if known.epoch == '' then return nil end\n", "if known then return nil end\n"
)
SEEN_STANDS: Final = "return max(asked, int(self.work.session.generations.get(self.kb, 0)))"
SEEN_COUNTS: Final = "if newest and newest > tonumber(ARGV[33]) then"

_FRAMES = (
    Mutant(
        "the fence is off",
        (Change(APPEND, HELD, "if held[3]"), Change(COMMIT, HELD, "if held[3]")),
        FRAMES,
        faults="freeze_worker",
        token_ms=150,
        story="append asks nobody for a lease",
    ),
    Mutant(
        "a frame is shown before it is stored",
        (
            Change(
                GROUP,
                "            errors = self._log.append(batches)\n",
                "            for outbox in outboxes:\n"
                "                outbox.show(outbox.stored())\n"
                "            self._clock.sleep(0.1)\n"
                "            errors = self._log.append(batches)\n",
            ),
            Change(
                GROUP,
                "            with self.lock:\n"
                "                frames = outbox.stored()\n"
                "            outbox.show(frames)\n",
                "",
            ),
        ),
        FRAMES,
    ),
    Mutant(
        "the end is told before it is committed",
        (
            Change(
                EXECUTION,
                "        committed = self._commit(work, out, ending)\n",
                "        early = replace(turn, version=work.session.version + 1)\n"
                "        live.publish([terminal_frame(early, seq=ending.seq)])\n"
                "        self.clock.sleep(1.0)\n"
                "        committed = self._commit(work, out, ending)\n",
            ),
            Change(
                EXECUTION,
                "        live.end(shown, "
                "[*handoff_frames(turn, ending), terminal_frame(shown, seq=ending.seq)])\n",
                "        live.end(shown, [])\n",
            ),
        ),
        FRAMES,
    ),
    Mutant(
        "a takeover forgets the last frame",
        (
            Change(
                WRITING,
                "        self._shown = assembled_text(stored)\n",
                "        self._shown = assembled_text(stored[:-1])\n",
            ),
        ),
        frozenset({"text_is_the_answer"}),
    ),
    Mutant(
        "who comes back misses a frame",
        (
            Change(
                FOLLOWING,
                "        for frame in frames:\n"
                "            if frame.seq is not None:\n"
                "                self.position",
                "        back = self.position > 0 and self._newest is None and len(frames) > 1\n"
                "        for frame in frames[1:] if back else frames:\n"
                "            if frame.seq is not None:\n"
                "                self.position",
            ),
        ),
        frozenset({"sequence_is_whole"}),
    ),
    Mutant(
        "the end is sent twice",
        (
            Change(
                FOLLOWING,
                "                yield self._complete(frame)\n                return\n",
                "                yield self._complete(frame)\n"
                "                yield self._complete(frame)\n"
                "                return\n",
            ),
        ),
        frozenset({"terminal_is_one"}),
    ),
)

_HISTORIES = (
    Mutant(
        "a turn that has ended is not recognised",
        (Change(CLAIM, "if known then\n", "if known and not string.find(known, ':') then\n"),),
        frozenset({"turn_is_once", "effect_is_once"}),
    ),
    Mutant(
        "another message under a used id is let in",
        (
            Change(
                CLAIM,
                "  if digest ~= ARGV[2] and digest ~= ARGV[30] then return {'conflict'} end\n",
                "",
            ),
        ),
        frozenset({"message_is_kept"}),
        story="claim does not compare digests",
    ),
    Mutant(
        "a session runs two turns at once",
        (
            Change(
                CLAIM,
                "local busy = head[3] ~= '' or redis.call('LLEN', queue) > 0\n",
                "local busy = false\n",
            ),
        ),
        frozenset({"order_is_kept"}),
        writers=12,
        story="claim overtakes those who wait",
    ),
    Mutant(
        "a turn is put before the history, and the chain of hashes is not looked at",
        (
            Change(
                COMMIT,
                "redis.call('RPUSH', turns, ARGV[8])",
                "redis.call('LPUSH', turns, ARGV[8])",
            ),
            NO_LOSS_IS_TOLD,
        ),
        frozenset({"read_is_prefix", "generation_never_goes_back"}),
    ),
    Mutant(
        "versions are counted from nought",
        (Change(READS, "first_version=after_version + 1", "first_version=after_version"),),
        frozenset({"version_is_place"}),
    ),
    Mutant(
        "a store that was wiped is not told",
        (NO_LOSS_IS_TOLD,),
        frozenset({"epoch_is_constant", "acknowledged_is_kept"}),
        # Turns are short, so that most sessions rest at that moment: who follows a turn is told.
        faults="wipe_redis,kill_worker",
        token_ms=5,
        writers=16,
    ),
)

_KNOWLEDGE = (
    Mutant(
        "a takeover searches again",
        (Change(FINDING, "known = turn.out.decided(RETRIEVAL)", "known = None"),),
        frozenset({"citations_are_of_one_generation"}),
        token_ms=60,
    ),
    Mutant(
        "a pod that is behind the session answers, and pods learn of nothing new",
        (
            Change(CLAIM, SEEN_COUNTS, "if false then"),
            Change(DRAFT, SEEN_STANDS, "return asked"),
            Change(BOOTSTRAP, "look=tenants.libraries.wake", "look=lambda *_: None"),
            Change(RUNNING, "period_s = limits.RECONCILE_S if", "period_s = 600.0 if"),
        ),
        frozenset(),
        survives="in two runs no session came to a pod that was behind it, and it is not known why "
        "none did; the rule is red where the history is reversed",
    ),
    Mutant(
        "that a tool is called is not noted before",
        (Change(TOOLS, 'out.decide(f"begun:{one.step}", claim.as_json())', "pass"),),
        frozenset({"effect_is_once"}),
        faults="kill_worker",
        writers=16,
    ),
)

_SURVIVORS = (
    Mutant(
        "a stale heartbeat is believed",
        (Change(OWNERS, "if not beating and self.may_judge():", "if not beating:"),),
        frozenset(),
        faults="kill_redis,slow_redis,kill_worker",
        survives="the fence refuses the owner that was wrongly given up, so another one finishes "
        "the same answer: it costs takeovers and, at three in a row, a turn; no rule is about that",
    ),
    Mutant(
        "young entries leave the index of running turns",
        (
            Change(
                RECOVERY,
                "return Verdict.LEAVE if young else Verdict.FORGET",
                "return Verdict.FORGET",
            ),
            Change(FORGET, "or now_ms() - tonumber(entered) < tonumber(ARGV[2]) ", ""),
        ),
        frozenset(),
        survives="who follows a turn takes it over when its owner is dead, without the index; only "
        "a turn that nobody follows is left lying, and here each one is followed",
        story="forget takes young entries",
    ),
)

MUTANTS: Final = (*_FRAMES, *_HISTORIES, *_KNOWLEDGE, *_SURVIVORS)

SHOWN_BY: Final[Mapping[str, str]] = {
    "acknowledged_is_kept": "a store that was wiped is not told",
    "message_is_kept": "another message under a used id is let in",
    "read_is_prefix": "a turn is put before the history, and the chain of hashes is not looked at",
    "turn_is_once": "a turn that has ended is not recognised",
    "order_is_kept": "a session runs two turns at once",
    "version_is_place": "versions are counted from nought",
    "generation_never_goes_back": (
        "a turn is put before the history, and the chain of hashes is not looked at"
    ),
    "citations_are_of_one_generation": "a takeover searches again",
    "epoch_is_constant": "a store that was wiped is not told",
    "sequence_is_whole": "who comes back misses a frame",
    "terminal_is_one": "the end is sent twice",
    "readers_agree": "the fence is off",
    "text_is_the_answer": "a takeover forgets the last frame",
    "effect_is_once": "that a tool is called is not noted before",
}
"""Each rule, and the mutant whose kept run shows it red."""
