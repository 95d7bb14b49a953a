"""Chats over gunicorn and Redis: a pod dies in the middle; the same request is the same turn."""

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.redis_server import RedisServer
from tests.scripted_pods import ScriptedPod


def sdk(pod: ScriptedPod, **named: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{pod.url}/v1", api_key="none", max_retries=0, **named)


def asking(**script: Any) -> dict[str, Any]:
    return {
        "model": "kotaemon",
        "messages": [{"role": "user", "content": json.dumps(script)}],
    }


def test_a_chat_whose_pod_was_killed_is_ended_by_the_same_request_elsewhere(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    with (
        ScriptedPod(tmp_path, redis_server.url, name="p0") as dying,
        ScriptedPod(tmp_path, redis_server.url, name="p1") as heir,
    ):
        script = {"pieces": 40, "pause_ms": 50, "of": os.urandom(4).hex()}
        seen: list[str] = []
        ids: set[str] = set()

        def follow_and_kill() -> None:
            for chunk in sdk(dying).chat.completions.create(**asking(**script), stream=True):
                seen.append(chunk.choices[0].delta.content or "")
                ids.add(chunk.id)
                if len(seen) == 8:
                    os.kill(dying.pid, signal.SIGKILL)

        with pytest.raises(Exception, match=r"(?i)peer|incomplete|closed|disconnect|connection"):
            follow_and_kill()

        whole = sdk(heir, _strict_response_validation=True).chat.completions.create(
            **asking(**script)
        )
        again = sdk(heir).chat.completions.create(**asking(**script), stream=True)
        text = whole.choices[0].message.content or ""
        assert text == "".join(f"{place:05d} " for place in range(40))
        assert text.startswith("".join(seen))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in again) == text
        assert {whole.id} == ids
        turns = heir.session(whole.kotaemon["session_id"])["turns"]  # type: ignore[attr-defined]
        assert [turn["attempts"] for turn in turns] == [2]

        # Two that come at the same time are one turn as well.
        answers: list[str] = []
        body = asking(pieces=20, pause_ms=20, of=os.urandom(4).hex())
        threads = [
            threading.Thread(
                target=lambda: answers.append(sdk(heir).chat.completions.create(**body).id)
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(answers) == 4
        assert len(set(answers)) == 1
        _embeds(heir)


def test_in_a_session_what_is_sent_again_behind_a_dead_pod_is_one_turn_and_said_again_another(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    body = asking(pieces=40, pause_ms=50, of=os.urandom(4).hex())
    where = {"X-Session-ID": f"stays-{os.urandom(4).hex()}"}
    with (
        ScriptedPod(tmp_path, redis_server.url, name="q0") as dying,
        ScriptedPod(tmp_path, redis_server.url, name="q1") as heir,
    ):
        stream = sdk(dying).chat.completions.create(**body, stream=True, extra_headers=where)
        first = next(iter(stream)).id
        os.kill(dying.pid, signal.SIGKILL)

        def ask(**headers: str) -> str:
            named = {name.replace("_", "-"): it for name, it in headers.items()}
            return sdk(heir).chat.completions.create(**body, extra_headers={**where, **named}).id

        assert ask() == first  # it still runs
        assert ask(X_Stainless_Retry_Count="1") == first
        second = ask()
        assert second != first
        turns = heir.session(where["X-Session-ID"])["turns"]
        assert [f"chatcmpl-{turn['turn_id'].removeprefix('chat-')}" for turn in turns] == [
            first, second,
        ]  # fmt: skip


def _embeds(pod: ScriptedPod) -> None:
    client = sdk(pod)
    model = [one.id for one in client.models.list()][-1]
    rows = client.embeddings.create(model=model, input=["a lamp", "a lamp", "x"]).data
    assert rows[0].embedding == rows[1].embedding != rows[2].embedding
