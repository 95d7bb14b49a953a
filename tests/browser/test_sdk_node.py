"""The JavaScript client outside of a browser: Node runs it against the stub and its faults."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.browser.knowledge import QUESTION, add_shop
from tests.browser.stub import WEB, Stub
from tests.browser.stub_turns import Script

CLIENT = WEB / "assets" / "client"
HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "javascript-sdk.md"
NODE = shutil.which("node")
LIMIT_S = 120

PIECES = tuple(f"piece {n} 🐢 " for n in range(1, 9))
WHOLE = "".join(PIECES)

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def ran(folder: Path, program: str, url: str) -> str:
    """Run a program that has the client beside it, and return what it prints."""
    assert NODE is not None
    packages = folder / "node_modules"
    packages.mkdir()
    (packages / "kotaemon-client").symlink_to(CLIENT)
    (folder / "program.mjs").write_text(program)
    done = subprocess.run(
        [NODE, "--preserve-symlinks", "program.mjs"],
        cwd=folder, env={"KOTAEMON_URL": url}, capture_output=True, text=True, timeout=LIMIT_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def told(folder: Path, body: str, url: str) -> Any:
    """Run the body of a program that puts what it found into ``told``."""
    program = (
        'import { ApiError, Client } from "kotaemon-client";\n'
        "const client = new Client({ endpoint: process.env.KOTAEMON_URL });\n"
        "const session = await client.createSession();\nlet told;\n"
        f"{body}\nconsole.log(JSON.stringify(told));"
    )
    return json.loads(ran(folder, program, url))


STREAM = """
  const stream = session.streamMessage("Cut?");
  const frames = [];
  let added = "";
  for await (const frame of stream) {
    frames.push(frame.type);
    if (frame.type === "text") added += frame.content;
  }
  told = { text: stream.text, added, frames };
"""


def test_the_example_of_the_documentation_runs(stub: Stub, tmp_path: Path) -> None:
    add_shop(stub)
    warranty = "How long is the warranty on lamps?"
    stub.scripts[warranty] = stub.scripts[QUESTION]
    stub.scripts["And what does it cover?"] = Script(pieces=("Switches ", "and sockets."))
    [example] = re.findall(r"```js\n(.*?)```", HOW_TO.read_text(), re.DOTALL)

    lines = ran(tmp_path, example, stub.url).splitlines()

    assert lines[0].startswith("Standard shipping takes 3 to 5 working days")
    assert lines[1] == "[1] Shipping /v1/sources/default/3/p1"
    assert lines[-2:] == ["Switches ", "Switches and sockets."]
    assert stub.ratings
    assert stub.sessions == {}


@pytest.mark.parametrize("cuts", [(4,), (1,), (3, 5, 7)], ids=str)
def test_a_cut_stream_goes_on_where_it_broke(
    stub: Stub, tmp_path: Path, cuts: tuple[int, ...]
) -> None:
    stub.scripts["Cut?"] = Script(pieces=PIECES, cuts=cuts, delay_s=0.01)

    found = told(tmp_path, STREAM, stub.url)

    assert found["text"] == found["added"] == WHOLE
    assert found["frames"].count("done") == 1
    assert len(stub.asked("POST", r"/turns$")) == 1
    assert len(stub.asked("GET", r"/stream$")) == len(cuts)


def test_a_summary_in_place_of_frames_leaves_one_whole_text(stub: Stub, tmp_path: Path) -> None:
    stub.scripts["Cut?"] = Script(pieces=PIECES, cuts=(6,))
    stub.summarise_after_cut = True

    found = told(tmp_path, STREAM, stub.url)

    assert found["text"] == WHOLE
    assert "snapshot" in found["frames"]


def test_a_question_that_was_refused_for_a_while_runs_once(stub: Stub, tmp_path: Path) -> None:
    add_shop(stub)
    stub.refuse("POST", r"/turns$", 503, code="draining", retryable=True)
    stub.refuse("POST", r"/turns$", 429, code="overloaded", retryable=True)
    stub.refuse("GET", r"/turns/\w+$", 503, code="unavailable", retryable=True)

    turn = told(tmp_path, f'told = await session.sendMessage("{QUESTION}");', stub.url)

    assert turn["state"] == "done"
    assert turn["answer"].startswith("Standard shipping takes")
    assert [len(turns) for turns in stub.sessions.values()] == [1]


def test_a_session_is_made_once_over_several_tries(stub: Stub, tmp_path: Path) -> None:
    for _ in range(2):  # of the session that `told` makes
        stub.refuse("POST", r"/v1/sessions$", 503, code="unavailable", retryable=True)
    stub.refuse("DELETE", r"/v1/sessions/", 503, code="unavailable", retryable=True)
    stub.refuse("GET", r"/v1/me$", 503, code="unavailable", retryable=True)
    stub.refuse("POST", r"/v1/own$", 503, code="unavailable", retryable=True)

    found = told(
        tmp_path,
        """told = [(await client.me()).tenant];
        await session.delete();
        await client.createSession({ idempotencyKey: "mine" });
        await client.json("POST", "/v1/own", {}).catch((error) => told.push(error.code));""",
        stub.url,
    )

    assert found == ["default", "unavailable"]
    keys = [h["Idempotency-Key"] for _, _, h in stub.asked("POST", r"/v1/sessions$")]
    assert len(keys) == 4
    assert len(set(keys[:3])) == 1
    assert re.fullmatch("[0-9a-f]{32}", keys[0])
    assert keys[3] == "mine"
    assert len(stub.asked("DELETE", "")) == 2
    assert len(stub.asked("POST", r"/v1/own$")) == 1, "nobody said that it may be sent twice"


def test_a_refusal_for_good_is_an_error_with_its_code(stub: Stub, tmp_path: Path) -> None:
    stub.refuse("POST", r"/turns$", 413, code="too_large")

    error = told(
        tmp_path,
        """try { await session.sendMessage("Refused?"); } catch (e) {
          told = { known: e instanceof ApiError, code: e.code, status: e.status, trace: e.traceId };
        }""",
        stub.url,
    )

    assert error == {"known": True, "code": "too_large", "status": 413, "trace": "trace-1"}


def test_who_stops_waiting_is_told_so_and_the_turn_goes_on(stub: Stub, tmp_path: Path) -> None:
    stub.scripts["Cut?"] = Script(pieces=PIECES, delay_s=0.05)

    found = told(
        tmp_path,
        """const wait = new AbortController();
        const stream = session.streamMessage("Cut?", { signal: wait.signal });
        try {
          for await (const frame of stream) if (frame.type === "text") wait.abort();
        } catch (error) { told = error.name; }
        const later = client.followTurn(session.id, stream.turnId);
        for await (const _ of later);
        told = [told, later.text];""",
        stub.url,
    )

    assert found == ["AbortError", WHOLE]


def pieces_at(*pieces: tuple[str, int], answer: str) -> Script:
    """A turn whose pieces say that they stand there."""
    told = [{"type": "text", "content": content, "offset": at} for content, at in pieces]
    done = {"type": "done", "state": "done", "answer": answer, "version": 1, "generation": {}}
    return Script(frames=[*told, done])


def test_text_that_does_not_fit_is_read_anew_once_and_then_an_error(
    stub: Stub, tmp_path: Path
) -> None:
    stub.scripts["Cut?"] = pieces_at(("abc", 0), ("xyz", 9), answer="abcdefghixyz")

    found = told(
        tmp_path,
        """const stream = session.streamMessage("Cut?");
        const types = [];
        try {
          for await (const frame of stream) types.push(frame.type);
        } catch (error) { told = { types, code: error.code, text: stream.text }; }""",
        stub.url,
    )

    assert found == {"types": ["text", "reset", "text"], "code": "misfit", "text": "abc"}
    assert len(stub.asked("POST", r"/turns$")) == 1
    assert len(stub.asked("GET", r"/stream$")) == 1


def test_a_stream_behind_a_frame_has_the_text_that_it_is_given(stub: Stub, tmp_path: Path) -> None:
    stub.scripts["Cut?"] = pieces_at(("abc", 0), ("de🐢", 3), ("f", 6), answer="abcde🐢f")

    found = told(
        tmp_path,
        """const first = session.streamMessage("Cut?");
        for await (const frame of first);
        told = [];
        const places = [{ after: 1, text: "abc" }, { after: 2, text: "abcde🐢" }, { after: 1 }];
        for (const given of places) {
          const stream = client.followTurn(session.id, first.turnId, given);
          const texts = [];
          for await (const frame of stream) texts.push(stream.text);
          told.push(texts);
        }""",
        stub.url,
    )

    whole = "abcde🐢f"
    assert found == [
        ["abcde🐢", whole, whole],
        [whole, whole],
        ["de🐢", "de🐢f", whole],  # only what comes, until the end tells the whole
    ]


def test_pods_that_only_send_away_are_not_asked_without_a_pause(tmp_path: Path) -> None:
    """A fetch of its own: every stream is told at once to go elsewhere, now."""
    program = """
      import { Client } from "kotaemon-client";
      let asked = 0;
      const away = 'event: reconnect\\ndata: {"type":"reconnect","retry_ms":0}\\n\\n';
      const fetch = async () => { asked += 1; return new Response(away); };
      const client = new Client({ endpoint: "http://cluster", fetch });
      for (const frames of [
        (signal) => client.streamMessage("s", "Hello?", { signal }),
        (signal) => client.followSession("s", { signal }),
      ]) {
        asked = 0;
        const signal = AbortSignal.timeout(2000);
        try { for await (const frame of frames(signal)); } catch (error) { /* the wait is over */ }
        console.log(asked);
      }
    """

    counts = [int(line) for line in ran(tmp_path, program, "").split()]

    assert all(1 < count < 30 for count in counts), counts
