"""The platform in small of ``sample/channel``, and the guide that tells of it."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from werkzeug.serving import make_server

from kotaemon_node.adapters.webhooks import read_channels
from kotaemon_node.domain.channels import Channel
from kotaemon_node.domain.webhooks import headers_of, verify
from sample.channel.signing import headers, is_signed
from tests.engine_pods import PIECES
from tests.integration.test_channels_delivered import ChannelPod
from tests.integration.test_webhooks_delivered import OLD as SECRET
from tests.redis_server import RedisServer, free_port

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "how-to" / "channels.md"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.remove()


def test_its_signatures_are_ours() -> None:
    body = b'{"a": 1}'
    ours = headers_of(body, message_id="m", at_s=1_000.5, secrets=[SECRET])
    assert headers(SECRET, "m", body, now_s=1_000.5) == ours
    assert is_signed(SECRET, ours, body, now_s=1_200)
    assert not is_signed(SECRET, ours, body, now_s=1_400)
    assert not is_signed(SECRET, ours, body + b" ", now_s=1_200)
    assert verify(headers(SECRET, "m", body, now_s=5), body, secrets=[SECRET], now_s=5) == "m"


def test_the_guides_file_is_one_and_its_platform_is_answered(
    server: RedisServer, tmp_path: Path
) -> None:
    [told] = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    [command] = re.findall(r"python -m (sample\.channel [^\"]*)\"", GUIDE.read_text())
    described = yaml.safe_load("\n".join(line[3:] for line in told.splitlines()))
    secret, port = tmp_path / "secret", free_port()
    secret.write_text(SECRET)
    described["channels"][0]["secret_file"] = str(secret)
    described["channels"][0]["reply_url"] = f"http://127.0.0.1:{port}/replies"
    file = tmp_path / "channels.yaml"
    file.write_text(yaml.safe_dump(described))
    demo, shopchat = read_channels(file, environment={"SHOPCHAT_SECRET": SECRET}.get)
    assert shopchat.channel.paths["text"] == "event.message.body"
    assert isinstance(demo.channel, Channel)

    pod = ChannelPod("pod-a", server, demo.channel)
    web = make_server("127.0.0.1", 0, pod.app, threaded=True)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    arguments = command.replace("\\\n", " ").split()
    arguments[arguments.index("--secret-file") + 1] = str(secret)
    try:
        shown = subprocess.run(
            [
                *(sys.executable, "-m", *arguments, "One?", "Two?"),
                *("--url", f"http://127.0.0.1:{web.port}", "--port", str(port)),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        pod.stop()
        web.shutdown()
    answer = f"bot: {''.join(PIECES)}"
    assert shown.stdout.splitlines() == ["Ann: One?", answer, "Ann: Two?", answer], shown.stderr
