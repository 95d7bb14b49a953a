"""The audit log on the admin page."""

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.stub_admin import AdminStub


def test_entries_are_filtered_and_older_ones_follow(admin: AdminStub, open_page: OpenPage) -> None:
    page = open_page(f"{admin.url}/admin#/audit")
    rows = page.locator("tr[data-seq]")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("key.created")
    expect(rows.first).to_contain_text("eve (customer) key:1 10.0.0.1")

    page.get_by_role("button", name="Older entries").click()
    expect(rows).to_have_count(4)
    expect(page.get_by_role("button", name="Older entries")).to_have_count(0)

    page.locator("select[name=outcome]").select_option("refused")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("target-3")
    wanted = {"outcome": "refused", "tenant": "acme", "action": "session", "limit": "50"}
    page.locator("select[name=tenant]").select_option("acme")
    page.locator("input[name=action]").fill("session")
    with page.expect_response(lambda answer: "action=session" in answer.url):
        page.locator("input[name=action]").blur()
    assert wanted in admin.audit_asked
