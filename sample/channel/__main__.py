"""``python -m sample.channel``: sends messages as a chat platform does, and shows the replies.

Each message is sent again until it is taken, under one id; each reply is shown once, whatever comes
twice. That is all that a platform has to do.
"""

import argparse
import json
import threading
import time
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sample.channel.signing import headers, is_signed


class Platform:
    """Sends messages of one conversation and gets what is said in it."""

    def __init__(self, url: str, channel: str, secret: str, *, port: int) -> None:
        self._url = f"{url}/v1/channels/{channel}/messages"
        self._secret = secret
        self._seen: set[str] = set()
        self.answered: dict[str, threading.Event] = {}
        platform = self

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told = {name.lower(): value for name, value in self.headers.items()}
                signed = is_signed(platform._secret, told, body, now_s=time.time())
                if signed:
                    platform.take(json.loads(body)["data"])
                self.send_response(204 if signed else 401)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, reply: dict[str, Any]) -> None:
        """Show a reply, unless it came before."""
        if reply["id"] in self._seen:
            return
        self._seen.add(reply["id"])
        who = reply["name"] or {"answer": "bot"}.get(reply["kind"], reply["kind"])
        print(f"{who}: {reply['text']}")
        for source in reply["sources"]:
            print(f"  [{source['n']}] {source['document']}")
        if reply["in_reply_to"] in self.answered:
            self.answered[reply["in_reply_to"]].set()

    def send(self, conversation: str, text: str) -> str:
        """Send a message until it is taken, and return its id."""
        message_id = str(uuid.uuid4())
        self.answered[message_id] = threading.Event()
        message = {
            "message_id": message_id,
            "user": {"id": "u-1001", "name": "Ann"},
            "conversation_id": conversation,
            "text": text,
        }
        body = json.dumps(message).encode()
        print(f"Ann: {text}")
        for attempt in range(20):
            # Signed anew each time: a signature is good for five minutes.
            signed = headers(self._secret, message_id, body, now_s=time.time())
            request = urllib.request.Request(
                self._url, body, {"Content-Type": "application/json", **signed}
            )
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    taken = json.load(answer)
                    if answer.status == 200:  # a channel with wait_s has the answer here
                        self.take(taken)
                    return message_id
            except urllib.error.HTTPError as error:
                if error.code not in (429, 502, 503, 504):
                    raise SystemExit(f"refused: {error.read().decode()}") from None
            except OSError:
                pass  # nobody is there just now
            time.sleep(min(10.0, 0.5 * 2**attempt))
        raise SystemExit("nobody took the message")


def main() -> None:
    """Send each text, and wait for its reply before the next."""
    ask = argparse.ArgumentParser(prog="python -m sample.channel")
    ask.add_argument("texts", nargs="+", metavar="TEXT")
    ask.add_argument("--url", default="http://127.0.0.1:8080")
    ask.add_argument("--channel", default="demo")
    ask.add_argument("--secret-file", type=Path, required=True)
    ask.add_argument("--port", type=int, default=9009, help="where replies are received")
    ask.add_argument("--wait-s", type=float, default=60.0)
    given = ask.parse_args()
    secret = given.secret_file.read_text().split()[0]
    platform = Platform(given.url, given.channel, secret, port=given.port)
    conversation = f"c-{uuid.uuid4()}"
    for text in given.texts:
        if not platform.answered[platform.send(conversation, text)].wait(given.wait_s):
            raise SystemExit("no reply came")


if __name__ == "__main__":
    main()
