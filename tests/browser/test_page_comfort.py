"""What makes the page pleasant: copying, changing a question, finding a talk, light and dark."""

import re
import threading

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, ask, finished
from tests.browser.stub import Stub
from tests.browser.stub_handoff import person_says
from tests.browser.stub_turns import Script, StubTurn

GROUND = "getComputedStyle(document.body).backgroundColor"
DARK, LIGHT = "rgb(18, 21, 22)", "rgb(246, 247, 246)"
CODE = "for n in range(3):\n    print(n)"
MS_PER_FRAME_MAX = 40.0
"""Far above what a frame costs (1 ms), far below what a thread of 200 drawn anew would."""


def test_code_is_copied_as_it_was_written(stub: Stub, open_page: OpenPage) -> None:
    stub.scripts["Code?"] = Script(
        pieces=("So:\n\n```py\nfor n in ", "range(3):\n    print(n)\n```\n")
    )
    page = open_page(stub.url, permissions=["clipboard-read", "clipboard-write"])
    ask(page, "Code?")
    finished(page)
    assert page.locator(".code-language").inner_text() == "py"

    page.get_by_role("button", name="Copy code").click()

    page.locator(".copy-code.copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").rstrip("\n") == CODE


def test_a_page_without_a_clipboard_copies_all_the_same(stub: Stub, open_page: OpenPage) -> None:
    stub.scripts["What?"] = Script(pieces=("An **answer**.",))
    page = open_page(stub.url, permissions=["clipboard-read", "clipboard-write"])
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    ask(page, "What?")
    finished(page)

    page.get_by_role("button", name="Copy answer").click()

    page.get_by_role("button", name="Copied").wait_for()
    page.locator("#question").focus()
    page.keyboard.press("Control+V")
    assert page.locator("#question").input_value() == "An **answer**."


def test_a_question_can_be_changed_and_asked_anew(stub: Stub, open_page: OpenPage) -> None:
    page = open_page(stub.url)
    ask(page, "How long?")
    finished(page)

    page.locator(".question").hover()
    page.get_by_role("button", name="Edit the question").click()
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type(" And where?")
    page.keyboard.press("Enter")

    finished(page, turns=2)
    assert page.locator(".question p").all_inner_texts() == ["How long?", "How long? And where?"]


def test_an_answer_can_be_asked_for_again(stub: Stub, open_page: OpenPage) -> None:
    page = open_page(stub.url)
    ask(page, "How long?")
    finished(page)

    page.get_by_role("button", name="Ask again").click()

    finished(page, turns=2)
    first, second = next(iter(stub.sessions.values()))
    assert (first.message, first.turn_id == second.turn_id) == (second.message, False)


def test_light_and_dark_follow_the_system_unless_chosen(stub: Stub, open_page: OpenPage) -> None:
    page = open_page(stub.url, color_scheme="dark")
    page.wait_for_selector(".welcome")
    assert page.evaluate(GROUND) == DARK

    page.get_by_role("button", name="Light", exact=True).click()
    assert page.evaluate(GROUND) == LIGHT
    page.reload()
    page.wait_for_selector(".welcome")
    assert page.evaluate(GROUND) == LIGHT

    page.get_by_role("button", name="As the system").click()
    assert page.evaluate(GROUND) == DARK
    page.emulate_media(color_scheme="light")
    assert page.evaluate(GROUND) == LIGHT


def test_a_conversation_is_found_by_its_words(stub: Stub, open_page: OpenPage) -> None:
    for number in range(70):
        turn = StubTurn(f"t{number}", f"Question about thing {number}?", Script(), state="done")
        stub.sessions[f"s{number}"] = [turn]
    page = open_page(stub.url)
    page.locator(".row").nth(29).wait_for()
    assert page.locator(".row").count() == 30

    page.get_by_label("Find a conversation").fill("THING 41")

    expect(page.locator(".row-title")).to_have_text(["Question about thing 41?"])
    page.get_by_label("Find a conversation").fill("nothing of that")
    expect(page.locator(".side [role=status]")).to_be_visible()


def test_who_speaks_for_the_shop_is_named(stub: Stub, open_page: OpenPage) -> None:
    page = open_page(stub.url)
    ask(page, "Hello?")
    finished(page)
    page.get_by_role("button", name="Talk to a person").click()
    expect(page.locator(".person.here")).to_contain_text("A person is with you.")

    person_says(stub, page.url.partition("?s=")[2], "I am here.", name="Ann")

    expect(page.locator(".person.here")).to_contain_text("Ann is with you.")


def test_the_time_it_takes_is_told_while_it_takes_long(stub: Stub, open_page: OpenPage) -> None:
    go_on = threading.Event()
    stub.scripts["Slow?"] = Script(pieces=("First, ", go_on, "second."))
    page = open_page(stub.url)
    ask(page, "Slow?")
    page.wait_for_selector(".text:has-text('First')")

    expect(page.locator(".phase-time")).to_have_text(re.compile(r"^\d+ s$"))

    go_on.set()
    finished(page)
    assert page.locator(".phase").count() == 0


def test_a_long_talk_is_not_drawn_anew_for_each_piece(stub: Stub, open_page: OpenPage) -> None:
    past = [
        StubTurn(f"t{n}", f"Question {n}?", Script(pieces=("An answer. [1]",))) for n in range(200)
    ]
    for turn in past:
        turn.run()
    stub.sessions["s"] = past
    pieces = tuple(f"word{n} " if n % 40 else "end.\n\n" for n in range(1, 401))
    stub.scripts["Long?"] = Script(pieces=pieces, delay_s=0.003)
    page = open_page(f"{stub.url}/?s=s")
    finished(page, turns=200)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def scripting_s() -> float:
        told = session.send("Performance.getMetrics")["metrics"]
        return float(next(row["value"] for row in told if row["name"] == "ScriptDuration"))

    before = scripting_s()
    page.evaluate(
        """() => { window.drawn = 0; new MutationObserver((all) => {
          window.drawn += all.filter(({ target }) => !target.closest?.(".turn:last-of-type")
            && target.closest?.(".turn")).length;
        }).observe(document.querySelector(".thread"), { childList: true, subtree: true }); }"""
    )
    ask(page, "Long?")
    finished(page, turns=201)

    assert 1000 * (scripting_s() - before) / len(pieces) < MS_PER_FRAME_MAX
    assert page.evaluate("window.drawn") < 20
