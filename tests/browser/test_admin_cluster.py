"""The cluster's map: a pod that dies is seen to go, and its turns to move."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, wait_until
from tests.browser.stub_admin import AdminStub
from tests.browser.stub_admin_data import pod

# Whatever the page asked before has arrived by then.
ANSWERED = "async () => { for (let n = 0; n < 5; n += 1) await (await fetch('/readyz')).text(); }"


def test_a_pod_is_seen_to_go_and_its_turns_to_move(admin: AdminStub, open_page: OpenPage) -> None:
    page = open_page(f"{admin.url}/admin#/cluster")
    card = page.locator(".pod-card[data-pod=worker-2]")
    expect(card.locator(".turn-cells .on")).to_have_count(2)
    expect(card).to_have_attribute("data-state", "ready")
    expect(page.locator(".agreement")).to_contain_text("All pods serve the same, for 1 min")

    admin.converged = False
    admin.pods = [
        pod("worker-0", running=2, taken_over=2),
        pod("worker-1", running=1, behind={"shop": 3}),
    ]

    expect(card).to_have_attribute("data-state", "gone")
    expect(card).to_contain_text("Had 2 turns: others go on with them")
    moved = page.locator(".pod-card[data-pod=worker-0]")
    expect(moved.locator(".turn-cells .on")).to_have_count(2)
    expect(page.locator(".pod-card[data-pod=worker-1]")).to_have_attribute("data-state", "behind")
    log = page.get_by_role("log")
    expect(log).to_contain_text("worker-2 is gone; it had 2 turns")
    expect(log).to_contain_text("worker-0 took over 2 turns")
    expect(page.locator(".agreement.troubled")).to_contain_text("worker-1 not yet at generation 3")

    admin.pods = [*admin.pods, pod("worker-2", incarnation="b")]
    expect(card).to_have_attribute("data-state", "ready")
    expect(log).to_contain_text("worker-2 has started")


@pytest.mark.long
def test_a_restart_between_two_looks_is_seen(admin: AdminStub, open_page: OpenPage) -> None:
    page = open_page(f"{admin.url}/admin#/cluster")
    expect(page.locator(".pod-card")).to_have_count(3)

    admin.pods = [*admin.pods[:2], pod("worker-2", incarnation="b")]

    log = page.get_by_role("log")
    expect(log).to_contain_text("worker-2 is gone; it had 2 turns")
    expect(log).to_contain_text("worker-2 has started")


@pytest.mark.long
def test_nobody_looks_while_the_page_is_hidden(admin: AdminStub, open_page: OpenPage) -> None:
    page = open_page(f"{admin.url}/admin#/plugins")
    page.clock.install()  # from here on only the test lets the page's time pass
    page.get_by_role("link", name="Cluster").click()
    expect(page.locator(".pod-card")).to_have_count(3)
    page.clock.run_for(10_000)
    wait_until(lambda: len(admin.asked("GET", "/v1/cluster")) > 1)  # as it does while seen
    page.evaluate(
        """() => {
          Object.defineProperty(document, "hidden", { get: () => globalThis.away });
          globalThis.away = true;
        }"""
    )
    page.clock.run_for(10_000)
    page.evaluate(ANSWERED)
    before = len(admin.asked("GET", "/v1/cluster"))
    page.clock.run_for(60_000)
    page.evaluate(ANSWERED)
    assert len(admin.asked("GET", "/v1/cluster")) == before

    page.evaluate("away = false; document.dispatchEvent(new Event('visibilitychange'))")
    wait_until(lambda: len(admin.asked("GET", "/v1/cluster")) > before)
