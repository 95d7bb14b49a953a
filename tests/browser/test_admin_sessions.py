"""Sessions on the admin page: read live, traced, taken over by an agent and given back."""

import threading

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.stub_admin import AdminStub
from tests.browser.stub_turns import Script, StubTurn


def test_a_conversation_is_read_live_taken_over_and_given_back(
    admin: AdminStub, open_page: OpenPage
) -> None:
    admin.role = "agent"
    go_on = threading.Event()
    admin.scripts["Where is it?"] = Script(pieces=("It is **on** ", go_on, "its way."))
    admin.begin("s1", "t1", "Hello?")
    page = open_page(f"{admin.url}/admin#/sessions")
    page.get_by_role("link", name="Hello?").click()
    expect(page.locator(".said-turn[data-state=done]")).to_contain_text("I don't know.")

    admin.begin("s1", "t2", "Where is it?")
    live = page.locator(".said-turn").nth(1)
    expect(live.locator(".answer")).to_contain_text("It is on")
    expect(live.locator(".answer strong")).to_have_text("on")
    go_on.set()
    expect(live).to_have_attribute("data-state", "done")

    page.get_by_role("button", name="Take over").click()
    expect(page.locator(".agent-box.here")).to_contain_text("With a person.")
    expect(page.get_by_label("With a person").get_by_role("link")).to_have_count(1)
    page.get_by_label("Your message").fill("I am **Ann**.")
    page.keyboard.press("Enter")
    said = page.locator(".said-turn.by-person")
    expect(said.locator("strong")).to_have_text("Ann")
    expect(page.get_by_label("Your message")).to_have_value("")
    page.get_by_role("button", name="Give back to the assistant").click()

    expect(page.get_by_role("button", name="Take over")).to_be_visible()
    assert page.locator(".happened").count() == 2
    [(_, _, body)] = admin.said
    assert body["text"] == "I am **Ann**."


def said(admin: AdminStub, sid: str, count: int) -> None:
    """Give a session so many turns that are over."""
    turns = [StubTurn(f"t{n}", f"Question {n}", Script()) for n in range(1, count + 1)]
    for turn in turns:
        turn.end("done")
    admin.sessions[sid] = turns


@pytest.mark.parametrize(("turns", "left"), [(450, 0), (1_150, 150)])
def test_the_newest_of_a_long_conversation_is_there_and_what_is_left_out_is_said(
    admin: AdminStub, open_page: OpenPage, turns: int, left: int
) -> None:
    said(admin, "s1", turns)
    page = open_page(f"{admin.url}/admin#/sessions/s1")

    rows = page.locator(".said-turn")
    expect(rows).to_have_count(turns - left)
    expect(rows.first).to_contain_text(f"Question {left + 1}")
    expect(rows.last).to_contain_text(f"Question {turns}")
    note = page.get_by_text(f"{left} older turns are not shown here.")
    expect(note).to_have_count(1 if left else 0)


def test_sessions_beyond_the_longest_list_are_on_further_pages(
    admin: AdminStub, open_page: OpenPage
) -> None:
    for n in range(250):
        said(admin, f"s{n}", 1)
    page = open_page(f"{admin.url}/admin#/sessions")
    rows = page.locator(".sessions-list li")
    for shown in (30, 60, 90, 120, 150, 180):
        expect(rows).to_have_count(shown)
        page.get_by_role("button", name="Show more").click()
    expect(rows).to_have_count(200)
    expect(rows.last.get_by_role("link")).to_have_attribute("href", "#/sessions/s50")

    page.get_by_role("button", name="Older sessions").click()

    expect(rows).to_have_count(50)
    expect(rows.first.get_by_role("link")).to_have_attribute("href", "#/sessions/s49")
    page.get_by_role("button", name="Back to the newest").click()
    expect(rows).to_have_count(30)


def test_a_trace_shows_steps_passages_and_times(admin: AdminStub, open_page: OpenPage) -> None:
    admin.begin("s1", "t1", "Hello?").end("done")
    page = open_page(f"{admin.url}/admin#/sessions/s1")

    page.get_by_role("button", name="How it came about").click()

    box = page.locator(".trace-box")
    expect(box.locator(".waterfall li")).to_have_count(3)
    expect(box.locator(".waterfall li").nth(2)).to_contain_text("1.2 sec")
    row = box.get_by_role("row", name="Returns").first
    expect(row).to_contain_text("0.900")
    expect(row).to_contain_text("yes")
    expect(box).to_contain_text("worker-1 → worker-2 · 2 attempts")
    expect(box).to_contain_text("812 tokens in, 64 out")


@pytest.mark.long
def test_what_customers_and_models_write_runs_nothing(
    admin: AdminStub, open_page: OpenPage
) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    admin.scripts[evil] = Script(pieces=(f"Look: {evil} [x](javascript:alert(1))",))
    admin.begin("s1", "t1", evil)
    admin.handoffs["s1"] = {"since": 1.0, "reason": evil, "by": "customer"}
    page = open_page(f"{admin.url}/admin#/sessions/s1")

    expect(page.locator(".said-turn[data-state=done]")).to_be_visible()
    expect(page.locator(".agent-box")).to_contain_text("<img src=x")
    assert page.title() == "Sessions · kotaemon"
    assert page.locator(".said-turn script, .said-turn img, .agent-box img").count() == 0
    assert page.locator("a[href^='javascript']").count() == 0


@pytest.mark.long
def test_a_message_that_was_refused_is_sent_again_as_the_same(
    admin: AdminStub, open_page: OpenPage
) -> None:
    admin.begin("s1", "t1", "Hello?").end("done")
    admin.handoffs["s1"] = {"since": 1.0, "reason": "", "by": "customer"}
    admin.refuse("POST", "agent-messages", 503, code="store_unavailable", retryable=True)
    page = open_page(f"{admin.url}/admin#/sessions/s1")
    page.get_by_label("Your message").fill("Hello there")
    page.keyboard.press("Enter")
    expect(page.locator(".agent-box .admin-error")).to_be_visible()
    page.get_by_role("button", name="Send").click()

    expect(page.locator(".said-turn.by-person")).to_have_count(1)
    assert len(admin.asked("POST", "agent-messages")) == 2
