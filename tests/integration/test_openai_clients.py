"""Programs written for OpenAI's interface, unchanged, at a real pod over gunicorn and Redis."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests import event_loops
from tests.redis_server import RedisServer
from tests.scripted_pods import ScriptedPod

JS = Path(__file__).parents[1] / "js"
SAID = "00000 00001 00002 00003 00004 "


def asked(name: str) -> str:
    """Return the message of a test; it is answered by five numbers."""
    return json.dumps({"pieces": 5, "of": name})


@pytest.fixture(scope="module")
def pod(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer
) -> Iterator[ScriptedPod]:
    with ScriptedPod(tmp_path_factory.mktemp("openai"), redis_server.url, name="o0") as running:
        yield running


def test_the_python_sdk(pod: ScriptedPod) -> None:
    client = openai.OpenAI(
        base_url=f"{pod.url}/v1", api_key="none", _strict_response_validation=True
    )
    talk: Any = [{"role": "user", "content": asked("python")}]
    raw = client.chat.completions.with_raw_response.create(model="kotaemon", messages=talk)
    whole = raw.parse()
    assert whole.choices[0].message.content == SAID
    assert raw.request_id == raw.headers["X-Trace-ID"]  # type: ignore[attr-defined]
    with client.chat.completions.stream(model="kotaemon", messages=talk) as stream:
        built = stream.get_final_completion()
    assert (built.id, built.choices[0].message.content) == (whole.id, SAID)
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="gpt-4o", messages=talk)
    assert refused.value.code == "model_not_found"


def test_the_asynchronous_python_sdk(pod: ScriptedPod) -> None:
    async def talks() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{pod.url}/v1", api_key="none") as client:

            async def one(number: int) -> str:
                stream = await client.chat.completions.create(
                    model="kotaemon",
                    messages=[{"role": "user", "content": asked(f"async {number}")}],
                    stream=True,
                )
                said = [chunk.choices[0].delta.content or "" async for chunk in stream]
                return "".join(said)

            return list(await asyncio.gather(*map(one, range(8))))

    assert event_loops.run(talks()) == [SAID] * 8


def test_langchain(pod: ScriptedPod) -> None:
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings

    named: dict[str, Any] = {"base_url": f"{pod.url}/v1", "api_key": "none"}
    chat = ChatOpenAI(model="kotaemon", **named)
    said = chat.invoke([("system", "Be brief."), ("human", asked("langchain"))])
    assert said.content == SAID
    assert said.usage_metadata is not None
    assert "".join(str(part.content) for part in chat.stream(asked("chain"))) == SAID
    models = [model.id for model in openai.OpenAI(**named).models.list()]
    # Else it sends tokens of OpenAI's own vocabulary.
    embedder = OpenAIEmbeddings(model=models[-1], check_embedding_ctx_length=False, **named)
    first, second = embedder.embed_documents(["a lamp", "a lamp"])
    assert first == second == embedder.embed_query("a lamp")


def test_the_javascript_sdk(pod: ScriptedPod) -> None:
    node = shutil.which("node")
    if node is None or not (JS / "node_modules" / "openai").is_dir():
        pytest.skip("the SDK is not installed; `scripts/install.sh test` installs it")
    done = subprocess.run(
        [node, "openai_sdk.mjs", f"{pod.url}/v1", "kotaemon", asked("javascript")],
        cwd=JS, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["whole"] == told["text"] == told["helped"] == SAID
    assert told["same"]
    assert told["usage"]["total_tokens"] > 0
    assert told["models"][:2] == ["kotaemon", "kotaemon/default"]
    assert told["dimension"] > 1
    assert told["refused"] == {"name": "NotFoundError", "status": 404, "code": "model_not_found"}
