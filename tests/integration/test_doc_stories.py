"""Pages that start a cluster of their own, or change one, do what they show, as they stand."""

import json
import re
from pathlib import Path

import pytest

from tests.doc_examples import ROOT, not_printed
from tests.documented.blocks import catalogue, shown_by
from tests.documented.stories import BY, Own, Page, Saved, Story, told

HOW_TO = "docs/how-to"
ASKED = Own('curl -sf "$URL/ask?q=returns" >/dev/null')
BACKUPS = {
    "file:///mnt/backups": "file://$HOME/backups",
    "s3://bucket/prefix": "file://$HOME/backups",
}

ORDERS = '''
"""The orders of a shop."""
from kotaemon_node.plugins import BasePlugin, IntentHook


class Orders(BasePlugin):
    name = "orders"
    description = "Tells where an order is."

    @IntentHook(intent="order", examples=["where is my order?", "我的订单到哪了"])
    def where(self, user_input):
        return {"result": f"Order {self.config.get('shop', '')} is on its way."}

    def run(self, order_id: str):
        return {"result": f"Order {order_id} is on its way."}

    def lookup(self, key: str, order_id: str):
        return {"took_effect": True}
'''
QUESTIONS = [
    {"question": "When will my parcel arrive?", "documents": ["shipping.md"], "answers": ["three"]},
    {"question": "How long is the guarantee?", "documents": ["kettle.txt"]},
]
KNOWLEDGE = {
    "shipping.md": "# Shipping\n\nParcels arrive within three working days.",
    "kettle.txt": "The guarantee of the kettle lasts two years.",
}


def file(name: str, text: str) -> Own:
    """Return lines that put a file there."""
    return Own(f"mkdir -p $(dirname {name})\ncat > {name} <<'A_TEXT_ENDS'\n{text}\nA_TEXT_ENDS")


STORIES = {
    "audited, kept and restored": Story(
        (
            Page(f"{HOW_TO}/audit-log.md"),
            Own(
                "trace=$(curl -sfD - -o /dev/null \"$URL/ask?q=returns\" | tr -d '\\r'"
                " | sed -n 's/^x-trace-id: //ip')"
            ),
            Page(f"{HOW_TO}/audit.md"),
            Page(f"{HOW_TO}/backup.md", ("kotaemon backup",)),
            Page(f"{HOW_TO}/restore-drill.md"),
            Page(f"{HOW_TO}/backup.md", ("kotaemon restore",)),
            Page(f"{HOW_TO}/scaling.md"),
        ),
        {**BACKUPS, "0af7651916cd43dd8448eb211c80319c": "$trace"},
    ),
    "sealed, with a log of turns": Story(
        (
            Page(f"{HOW_TO}/encryption.md", ("kotaemon encryption new-key",)),
            Own("kotaemon down"),
            Page(f"{HOW_TO}/turn-log.md", ("kotaemon up",)),
            Own(
                'curl -sf "$URL/chat" -H "Content-Type: application/json"'
                ' -d \'{"session_id": "s1", "message": "Do you sell submarines?"}\'\n'
                "until grep -q unanswered turns.jsonl; do sleep 0.2; done"
            ),
            Page(f"{HOW_TO}/turn-log.md", ("jq -r", "kotaemon encryption open")),
            Own("kotaemon backup --to file://$HOME/backups"),
            Page(f"{HOW_TO}/encryption.md", ("kotaemon encryption status",)),
        ),
        {
            **BACKUPS,
            "/var/log/kotaemon/turns.jsonl": "$HOME/turns.jsonl",
            "--tenant shop": "--tenant default",
            "kotaemon encryption shred": "echo y | kotaemon encryption shred",
        },
        {"TURN_LOG_TEXTS": "true"},
        ("s1", "Do you sell submarines?", "Do you sell submarines?"),
    ),
    "closed by keys": Story(
        (
            Page(f"{HOW_TO}/api-keys.md", ("AUTH_MODE=keys",)),
            Own("export KOTAEMON_API_KEY=$(cat .data/keys/admin.key)"),
            Page(f"{HOW_TO}/api-keys.md", ("kotaemon keys create",)),
            Own("ID=$(kotaemon keys list --json | jq -r '.[0].id')\nKEY=$KOTAEMON_API_KEY"),
            Page(
                f"{HOW_TO}/api-keys.md",
                ("kotaemon keys create --role editor", "kotaemon keys rotate", "curl"),
            ),
            Page(f"{HOW_TO}/oidc.md"),
        ),
        {"rotate ID": "rotate $ID"},
        printed=('"role"', '"role"'),
    ),
    "plugins": Story(
        (
            file("orders.py", ORDERS),
            file("orders.yaml", "effects: read"),
            Own(
                "mkdir plugins\nexport PLUGIN_SECRET_SHOP_KEY=a-secret\n"
                'export TRUSTED_KEYS="$(kotaemon signing-key create release.pem)"'
            ),
            Page(f"{HOW_TO}/plugins.md", ("kotaemon up",)),
            Own("until kotaemon plugins list | grep -q orders; do sleep 0.2; done"),
            Page(
                f"{HOW_TO}/plugins.md",
                ("kotaemon plugins push", "kotaemon plugins config", "kotaemon plugins rollout"),
            ),
            Page("docs/reference/plugins.md"),
        ),
        {"https://chat.example.com": "$URL"},
    ),
    "the plugin of the tutorial": Story(
        (
            *(
                Saved(f"{HOW_TO}/write-a-plugin.md", f"# {name}", name)
                for name in (
                    "plugins/opening_hours.py",
                    "plugins/opening_hours.yaml",
                    "plugins/tests/test_opening_hours.py",
                    "plugins/call_back.py",
                    "plugins/call_back.yaml",
                    "plugins/tests/test_call_back.py",
                )
            ),
            Page(f"{HOW_TO}/write-a-plugin.md"),
        ),
        printed=("opening_hours", "We are closed on that day.", "2 passed"),
    ),
    "channels": Story(
        (
            Saved(f"{HOW_TO}/channels.md", "channels:", "channels.yaml"),
            Own(
                "export SHOPCHAT_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"
                'sed -i "s#:9009/#:$PORT_A/#; s#/tmp/#$HOME/#" channels.yaml'
            ),
            Page(f"{HOW_TO}/channels.md"),
        ),
        {"/tmp/": "$HOME/", "-m sample.channel": '-m sample.channel --url "$URL" --port $PORT_A'},
        printed=("How long does shipping take?", "bot: ", "And to Norway?", "bot: "),
    ),
    "limits, and gRPC": Story(
        (
            Own("export GRPC_PORT=$PORT_A"),
            Page(f"{HOW_TO}/limits.md"),
            Own('curl -sf -D - -o /dev/null "$URL/ask?q=returns"'),
            Page(f"{HOW_TO}/grpc.md"),
        ),
        {"127.0.0.1:9090": "127.0.0.1:$PORT_A"},
        printed=('ratelimit-policy: "requests";q=120;w=60', "working days"),
    ),
    "experiments": Story(
        (
            file("questions.jsonl", "\n".join(map(json.dumps, QUESTIONS))),
            *(file(f"knowledge/{name}", text) for name, text in KNOWLEDGE.items()),
            Saved(f"{HOW_TO}/evaluate.md", "experiment:", "hybrid.yaml"),
            Own('sed "s/hybrid/lexical/g" hybrid.yaml > words.yaml'),
            Page(f"{HOW_TO}/evaluate.md"),
        ),
        printed=("recall@5", "recall@5", "lexical"),
    ),
    "speech": Story(
        (
            Own(
                "python - <<'END'\n"
                "import wave\n"
                "from tests.speech import spoken\n"
                "with wave.open('question.wav', 'wb') as file:\n"
                "    file.setparams((1, 2, 16_000, 0, 'NONE', ''))\n"
                "    file.writeframes(spoken('how long is the warranty'))\n"
                "END"
            ),
            Page(f"{HOW_TO}/voice.md"),
        ),
        {".venv/bin/pip install": "true", "$PWD/sample": f"{ROOT}/sample"},
        printed=("warranty",),
    ),
    "disturbed": Story(
        (Page("docs/reference/chaos.md"),),
        {
            "kotaemon chaos  ": "kotaemon chaos --seconds 5 ",
            "--seconds 300 --writers 20": "--seconds 10 --writers 4",
            "make chaos": f"make -n -C {ROOT} chaos",
        },
    ),
    "two balancers": Story(
        (
            Page(f"{HOW_TO}/two-balancers.md"),
            Own("cd haproxy\nPATH=/usr/sbin:$PATH haproxy -c -f haproxy.cfg"),
        ),
        {"scp haproxy/*": "ls haproxy/* #"},
        printed=("Configuration file is valid",),
    ),
    "users of Redis": Story(
        (
            Own(
                "touch users.acl\n"
                "redis-server --port $PORT_A --aclfile $HOME/users.acl --save '' --daemonize yes\n"
                "trap 'redis-cli -p $PORT_A shutdown nosave' EXIT\n"
                "until redis-cli -p $PORT_A ping; do sleep 0.1; done"
            ),
            Page(f"{HOW_TO}/least-rights.md"),
            Own("redis-cli -p $PORT_A --user worker --pass old ACL WHOAMI"),
            Page(f"{HOW_TO}/tls.md"),
            Own("redis-cli -p $PORT_A --user worker --pass new ACL WHOAMI"),
        ),
        {
            "--newer >users.acl": ">users.acl",  # the machine's Redis may be 7.0
            "redis-cli ACL LOAD": (
                "sed -i -E 's/#SHA256[A-Z_]*/>old/' users.acl\nredis-cli -p $PORT_A ACL LOAD"
            ),
            "redis-cli ACL SETUSER": "redis-cli -p $PORT_A ACL SETUSER",
        },
        {"OLD": "old", "NEW": "new"},
        ("OK", "NOPERM", "OK", "OK", "NOPERM"),
    ),
    "build workers": Story((Page(f"{HOW_TO}/build-workers.md"),), printed=("build-worker-1",)),
}


@pytest.mark.long  # each starts a cluster
@pytest.mark.timeout(500)
@pytest.mark.parametrize("name", STORIES)
def test_a_page_does_what_it_shows(name: str, tmp_path: Path) -> None:
    story = STORIES[name]

    done = told(story, tmp_path)

    assert done.code == 0, f"{done.at}: {done.complained}\n{done.printed[-3_000:]}"
    missing = list(not_printed(tuple(story.printed), re.sub(r"\r", "", done.printed)))
    assert not missing, f"{missing} is not in\n{done.printed}\n{done.complained}"


def test_every_block_that_a_story_is_to_run_is_in_one() -> None:
    ran = {block for story in STORIES.values() for block in story.pages()}

    left = [
        block.where
        for page in catalogue()
        for block in shown_by(BY, page)
        if (page, block.text) not in ran
    ]

    assert not left
