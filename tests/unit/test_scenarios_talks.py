"""Files of talks: what is asked in scenarios of load, and what is refused with advice."""

from pathlib import Path

import pytest
import requests

from load.scenarios import orders
from load.scenarios.talks import SAMPLE, SCENARIOS, BadTalks, Step, read
from tests.sample_shop import NOW_S, served_shop


def written(folder: Path, text: str, name: str = "talks.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_the_sample_has_talks_for_every_scenario_in_both_languages() -> None:
    talks = read(SAMPLE)
    assert set(talks.by_scenario) == set(SCENARIOS)
    for scenario in SCENARIOS:
        asked = "".join(step.ask for talk in talks.of(scenario) for step in talk.steps)
        assert any(ord(letter) > 0x4E00 for letter in asked), scenario
        assert any(letter.isascii() and letter.isalpha() for letter in asked), scenario
    assert any(len(talk.steps) > 1 for talk in talks.of("browse"))
    assert all(step.cites for talk in talks.of("browse") for step in talk.steps)
    assert all(talk.steps[0].waits == "yes" for talk in talks.of("cancel"))


def test_a_text_file_has_a_question_a_line(tmp_path: Path) -> None:
    talks = read(written(tmp_path, "How long?\n\n 保修期？ \n", "mine.txt"))
    assert talks.questions == ["How long?", "保修期？"]
    with pytest.raises(BadTalks, match=r"no talks for cancel.*leave its users out"):
        talks.of("cancel")


def test_a_message_may_be_a_text_or_say_what_its_answer_has_to_be(tmp_path: Path) -> None:
    talks = read(
        written(
            tmp_path,
            'browse:\n- - Hello\n  - {ask: "And?", says: yes it is, unless: ["no", never], '
            'cites: true, waits: "value"}\n',
        )
    )
    hello, question = talks.of("browse")[0].steps
    assert hello == Step("Hello")
    assert question == Step("And?", ("yes it is",), ("no", "never"), True, "value")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names no scenario; there are browse, order, cancel"),
        ("- a", "names no scenario"),
        ("browse: [", "is no YAML"),
        ("browsing:\n- - a", "browsing is no scenario"),
        ("browse: hello", "browse: a list of 1 to"),
        ("browse:\n- {steps: []}", "talk 1: a talk is a list of messages"),
        ("browse:\n- {step: [a]}", "talk 1: step means nothing; there are steps, user"),
        ("browse:\n- - {aks: a}", "message 1: aks means nothing"),
        ("browse:\n- - {ask: 3}", "`ask` is a text, not 3"),
        ("browse:\n- - {ask: ''}", "a message has 1 to 32,000 characters"),
        ("browse:\n- - {ask: a, says: [1]}", "`says` is a text or a list of texts"),
        ("browse:\n- - {ask: a, waits: true}", "`waits` is a text, not True; put it in quotes"),
        ("browse:\n- - {ask: a, waits: 'no'}", '`waits` is "yes" .in quotes. or'),
        ("browse:\n- - {ask: a, cites: 'yes'}", "`cites` is true or false"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_what_to_write(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(BadTalks, match=told):
        read(written(tmp_path, text))


def test_files_that_are_missing_empty_or_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTalks, match="cannot be read"):
        read(tmp_path / "nowhere.yaml")
    with pytest.raises(BadTalks, match="is empty"):
        read(written(tmp_path, "\n \n", "empty.txt"))
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(BadTalks, match="UTF-8"):
        read(tmp_path / "bytes.txt")


def test_each_customer_has_orders_of_its_own_and_of_four_digits(tmp_path: Path) -> None:
    most = orders.CUSTOMERS_MAX
    made = orders.made(most, now_s=1_800_000_000.0)
    assert len({one["id"] for one in made}) == most * orders.ORDERS_EACH
    assert all(len(one["id"]) == 4 for one in made)
    owners = {one["id"]: one["user"] for one in made}
    for number in (0, 7, most - 1, most + 7):
        for talk in range(12):
            wanted = orders.order(number, most, talk=talk)
            assert owners[wanted] == orders.customer(number, most)
    assert (orders.customer(5, 0), orders.order(5, 0, talk=3)) == ("demo", "1003")


def test_the_shop_has_the_orders_beside_its_own(tmp_path: Path) -> None:
    orders.write(tmp_path, 2, now_s=NOW_S)
    file = orders.write(tmp_path, 3, now_s=NOW_S)  # again: made anew, not twice
    assert file.read_text("utf-8").count('"placed_at"') == 8 + 3 * orders.ORDERS_EACH

    with served_shop(tmp_path) as shop:
        for user, count in (("load-0", orders.ORDERS_EACH), ("load-2", 10), ("demo", 3)):
            found = requests.get(f"{shop.url}/orders", params={"user": user}, timeout=10).json()
            assert len(found["orders"]) == count, user
        done = requests.post(f"{shop.url}/orders/4015/cancel", json={"user": "load-1"}, timeout=10)
        assert done.json()["order_id"] == "4015"
