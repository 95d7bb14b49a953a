"""docs/reference/redis-keys.md is the key schema, with who may do what to each key."""

import re

from scripts.redis_keys_reference import PAGE, page, rows


def test_the_page_is_what_the_schema_says() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `python -m scripts.redis_keys_reference`"


def test_each_key_is_whole_and_stands_there_once() -> None:
    found = [row.key for row in rows()]

    assert len(found) > 60
    assert len(set(found)) == len(found)
    for key in found:
        assert key.startswith("kn:"), key
        assert " " not in re.sub(r"<[^>]*>", "", key), key
        assert key.count("{") == key.count("}") <= 1, key


def test_somebody_may_read_each_key() -> None:
    table = [line for line in page().splitlines() if line.startswith("| `kn:")]
    unreachable = [
        line for line in table if " pubsub " not in line and line.endswith("- | - | - |")
    ]

    assert unreachable == []
