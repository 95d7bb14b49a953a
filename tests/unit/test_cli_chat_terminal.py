"""``kotaemon chat`` as a person has it: a conversation in a terminal, which goes on."""

import os
import pty
import re
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.fakes.flaky_server import TRACE, Reaction, answers, done, flaky, refuses, streams, text

PATIENCE_S = 60
MADE = {"session_id": "s", "epoch": "e", "version": 0, "created_at": 1.0}
STOPPED = {"turn_id": "t", "trace_id": TRACE, "state": "cancelled", "answer": ""}
WHOLE = (text(1, "Two **weeks**.", 0), done(2, "Two **weeks**."))
FAILED = {"type": "error", "seq": 1, "code": "turn_crashed", "message": "Three pods were lost"}
PROMPT = "› "


class Terminal:
    """A terminal with the command in it: what it was sent, without what moves the cursor."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.pid, self._file = pty.fork()
        if self.pid == 0:  # the child
            words = [sys.executable, "-m", "kotaemon_node.cli.main", *arguments]
            # Whoever runs tests in the background may have it ignored.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            there = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LC_ALL": "C.UTF-8"}
            os.execve(sys.executable, words, there)
        self._over = False
        self._raw = b""
        self._read = 0

    def types(self, keys: str) -> None:
        os.write(self._file, keys.encode())

    def waits_for(self, said: str) -> str:
        """Return what came since the last look, up to ``said``."""
        until = time.monotonic() + PATIENCE_S
        while (at := self._text.find(said, self._read)) < 0:
            more = self._take() and time.monotonic() < until
            assert more, f"{said!r} did not come; there was {self._text!r}"
        told, self._read = self._text[self._read : at + len(said)], at + len(said)
        return told

    def ends(self) -> int:
        """Wait for the command to end; return its exit code."""
        while self._take():
            pass
        self._over = True
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self) -> None:
        """End what a test that failed left behind."""
        if not self._over:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._file)

    @property
    def _text(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._raw.decode(errors="ignore"))

    def _take(self) -> bool:
        if not select.select([self._file], [], [], PATIENCE_S)[0]:
            raise AssertionError(f"nothing came behind {self._text!r}")
        try:
            piece = os.read(self._file, 65_536)
        except OSError:  # how a terminal says that its last program left
            return False
        self._raw += piece
        return bool(piece)


@contextmanager
def talking(*script: Reaction) -> Iterator[tuple[Terminal, Callable[[], list[str]]]]:
    """Yield the terminal of a chat that has begun, and what says which requests came."""
    with flaky(answers(201, MADE), *script) as server:
        terminal = Terminal(["chat", "--url", server.url, "--language", "en"])
        try:
            terminal.waits_for("Session s.")
            terminal.waits_for(PROMPT)
            yield terminal, lambda: [f"{asked.method} {asked.path}" for asked in server.seen]
        finally:
            terminal.close()


def test_what_fails_does_not_end_the_conversation() -> None:
    script = (
        refuses(409, "conflict"), refuses(404, "session_not_found"), streams(FAILED),
        streams(*WHOLE), refuses(404, "turn_not_found"), answers(200, {}),
    )  # fmt: skip
    with talking(*script) as (terminal, seen):
        for typed, told in (
            ("/bot", "kotaemon: conflict!"),
            ("/person please", "kotaemon: session_not_found!"),
            ("How long?", "kotaemon: Three pods were lost"),
            ("How long?", "Two weeks."),
            ("/good", "kotaemon: turn_not_found!"),
            ("/bad too short", "Noted. Thank you."),
        ):
            terminal.types(f"{typed}\r")
            terminal.waits_for(told)
            terminal.waits_for(PROMPT)
        terminal.types("\x04")  # Ctrl-D
        assert terminal.ends() == 0
        assert seen()[1:4] == [
            "POST /v1/sessions/s/handback",
            "POST /v1/sessions/s/handoff",
            "POST /v1/sessions/s/turns",
        ]


def test_ctrl_c_stops_the_answer_and_not_the_chat() -> None:
    silent = threading.Event()
    try:
        script = (streams(text(1, "Two ", 0), silent=silent), answers(200, STOPPED))
        with talking(*script, streams(*WHOLE)) as (terminal, seen):
            terminal.types("How long?\r")
            terminal.waits_for("Two")
            terminal.types("\x03")
            terminal.waits_for("(stopped)")
            terminal.waits_for(PROMPT)
            assert seen()[-1].endswith("/cancel")
            terminal.types("How long?\r")
            terminal.waits_for("Two weeks.")
            terminal.waits_for(PROMPT)
            terminal.types("/quit\r")
            assert terminal.ends() == 0
    finally:
        silent.set()


def test_a_key_that_is_refused_ends_it() -> None:
    with talking(refuses(403, "forbidden")) as (terminal, _):
        terminal.types("/bot\r")
        terminal.waits_for("The cluster answered 403")
        assert terminal.ends() == 1
