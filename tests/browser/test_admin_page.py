"""The admin page itself: which views a role has, where the address leads, both languages."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.stub_admin import AdminStub
from tests.browser.test_page_contrast import CONTRAST_MIN, LOW_CONTRASTS

VIEWS = [
    *("Cluster", "Knowledge", "Sessions", "Plugins", "Analytics", "Retry queue", "FAQ"),
    "Audit log",
]
PLACES = (
    *("cluster", "knowledge/shop/search", "sessions/s1", "plugins", "analytics", "queue", "faq"),
    "audit",
)
PHONE = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}


def views(page: Page) -> list[str]:
    page.locator(".admin-nav a").first.wait_for()
    return page.locator(".admin-nav a").all_inner_texts()


@pytest.mark.parametrize(
    ("role", "shown"),
    [
        pytest.param("open", VIEWS, marks=pytest.mark.long),
        ("editor", ["Knowledge", "Analytics", "Retry queue", "FAQ"]),
        pytest.param("agent", ["Sessions"], marks=pytest.mark.long),
    ],
)
def test_a_role_has_the_views_whose_routes_it_may_call(
    role: str, shown: list[str], admin: AdminStub, open_page: OpenPage
) -> None:
    admin.role = role
    page = open_page(f"{admin.url}/admin#/plugins")

    assert views(page) == shown
    expect(page.locator(".view-title, .faq-title").first).to_be_visible()
    if role != "open":  # an address of another role leads to the first view of one's own
        expect(page.locator(".admin-nav a[aria-current]")).to_have_text(shown[0])
        assert not admin.asked("GET", r"^/v1/plugins")


@pytest.mark.long
def test_a_customer_is_told_that_there_is_nothing(admin: AdminStub, open_page: OpenPage) -> None:
    admin.role = "customer"
    page = open_page(f"{admin.url}/admin")

    expect(page.locator(".admin-note")).to_contain_text("nothing for it to see here")


def test_an_address_leads_to_its_place_and_a_reload_keeps_it(
    admin: AdminStub, open_page: OpenPage
) -> None:
    page = open_page(f"{admin.url}/admin#/knowledge/shop/generations")
    expect(page.locator("tr[data-generation]")).to_have_count(3)
    page.get_by_role("link", name="Search").click()
    page.reload()

    expect(page.get_by_role("link", name="Search")).to_have_attribute("aria-current", "page")
    page.get_by_role("link", name="Retry queue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Retry queue")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Knowledge")


def test_an_admin_of_another_tenant_has_no_views_of_the_whole_cluster(
    admin: AdminStub, open_page: OpenPage
) -> None:
    admin.role, admin.tenant = "admin", "acme"
    page = open_page(f"{admin.url}/admin#/cluster")

    links = page.locator(".admin-nav a")
    expect(links).to_have_text(
        ["Knowledge", "Sessions", "Analytics", "Retry queue", "FAQ", "Audit log"]
    )
    expect(page.get_by_role("heading", level=1)).to_have_text("Knowledge")
    assert admin.asked("GET", r"/v1/(cluster|plugins)") == []


def test_every_view_fits_a_phone_in_chinese(admin: AdminStub, open_page: OpenPage) -> None:
    admin.begin("s1", "t1", "很长" * 200)
    page = open_page(f"{admin.url}/admin", locale="zh-CN", **PHONE)
    for place in PLACES:
        page.goto(f"{admin.url}/admin#/{place}")
        page.locator(".view, .faq").first.wait_for()
        wide = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
        assert page.evaluate(wide) <= 390, place
        assert page.evaluate("document.querySelector('main').scrollWidth") <= 390, place
        english = re.sub(r"[^a-z ]", "", page.locator("h1, h2, nav").first.inner_text())
        assert english.strip() == "", place


@pytest.mark.long
def test_a_refusal_says_what_to_do_next_and_is_tried_again(
    admin: AdminStub, open_page: OpenPage
) -> None:
    for _ in range(2):
        admin.refuse("GET", "/v1/cluster", 503, code="store_unavailable", retryable=True)
    page = open_page(f"{admin.url}/admin#/cluster")

    alert = page.locator(".admin-error")
    expect(alert).to_contain_text("The session store does not answer.")
    expect(alert).to_contain_text("kotaemon ps")
    expect(alert).to_contain_text("trace-1")
    expect(page.locator(".pod-card")).to_have_count(3)
    expect(alert).to_have_count(0)


def test_both_languages_have_the_same_words(admin: AdminStub, open_page: OpenPage) -> None:
    page = open_page(f"{admin.url}/admin")

    shapes = page.evaluate(
        """async () => {
          const { ADMIN_EN } = await import("/assets/words-admin-en.js");
          const { ADMIN_ZH } = await import("/assets/words-admin-zh.js");
          const shape = (words) => Object.entries(words).flatMap(([key, value]) =>
            value !== null && typeof value === "object"
              ? shape(value).map((inner) => `${key}.${inner}`)
              : [`${key}: ${typeof value}`]).sort();
          return [shape(ADMIN_EN), shape(ADMIN_ZH)];
        }"""
    )

    assert shapes[0] == shapes[1]
    assert len(shapes[0]) > 200


@pytest.mark.long
def test_the_keyboard_reaches_a_view_and_asks_before_it_removes(
    admin: AdminStub, open_page: OpenPage
) -> None:
    page = open_page(f"{admin.url}/admin#/queue")
    expect(page.locator(".job")).to_have_count(3)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the link that skips what is on each view
    assert page.evaluate("document.activeElement.id") == "main"

    page.get_by_role("button", name="Remove: Message by webhook").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Yes")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Remove: Message by webhook").first).to_be_focused()
    assert not admin.asked("DELETE", "dead-letters")


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_that_is_written_can_be_read_in_light_and_dark(
    scheme: str, admin: AdminStub, open_page: OpenPage
) -> None:
    admin.begin("s1", "t1", "Hello?").end("done")
    page = open_page(f"{admin.url}/admin", color_scheme=scheme)
    for place in PLACES:
        page.goto(f"{admin.url}/admin#/{place}")
        page.locator(".view, .faq").first.wait_for()
        page.wait_for_timeout(500)  # colours move from one to the other
        assert page.evaluate(LOW_CONTRASTS, CONTRAST_MIN) == [], place
