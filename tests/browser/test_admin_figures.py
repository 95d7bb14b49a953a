"""Analytics and the retry queue on the admin page."""

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.stub_admin import AdminStub


def test_figures_have_units_plots_have_tables_and_a_question_becomes_an_entry(
    admin: AdminStub, open_page: OpenPage
) -> None:
    page = open_page(f"{admin.url}/admin#/analytics")
    tile = page.locator(".tile").filter(has_text="First text, median")
    expect(tile).to_contain_text("300 ms")
    expect(tile).to_contain_text("95 % within 1.2 sec")
    plot = page.get_by_role("figure").filter(has_text="Turns a day")
    expect(plot.locator("rect")).to_have_count(21)
    plot.get_by_text("As a table").click()
    expect(plot.get_by_role("row", name="Nov 21")).to_contain_text("153")

    unanswered = page.get_by_role("list", name="Not answered")
    expect(unanswered).to_contain_text("5 times")
    unanswered.get_by_role("button").click()

    expect(page.locator(".faq-form [name=question]")).to_have_value("do you ship to the moon")


def test_dead_letters_are_tried_again_or_removed(admin: AdminStub, open_page: OpenPage) -> None:
    page = open_page(f"{admin.url}/admin#/queue")
    dead = page.get_by_role("list", name="Dead letters")
    expect(dead.locator(".job")).to_have_count(2)
    expect(page.get_by_role("list", name="Waiting and running")).to_contain_text("attempt 2 of 8")

    dead.get_by_role("button", name="Try again").first.click()
    expect(dead.locator(".job")).to_have_count(1)
    dead.get_by_role("button", name="Remove: Message by webhook").click()
    dead.get_by_role("button", name="Yes").click()

    expect(page.get_by_text("No dead letters")).to_be_visible()
    assert [(method, path) for method, path, _ in admin.said] == [
        ("POST", "/v1/dead-letters/j1/retry"),
        ("DELETE", "/v1/dead-letters/j2"),
    ]
