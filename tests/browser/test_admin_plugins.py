"""Plugins on the admin page: switched, configured by their schema, rolled out, uploaded."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, wait_until
from tests.browser.stub_admin import AdminStub


def test_a_configuration_is_a_form_made_from_its_schema(
    admin: AdminStub, open_page: OpenPage
) -> None:
    page = open_page(f"{admin.url}/admin#/plugins/order_query")
    card = page.locator("[data-plugin=order_query]")
    expect(card.get_by_label("Address")).to_have_value("https://shop.example")
    card.get_by_label("tries").fill("4")
    card.get_by_label("rate").fill("0.5")
    card.get_by_label("strict").check()
    card.get_by_label("mode").select_option("careful")
    card.get_by_label("tags").fill("a\n\n b ")
    card.get_by_label("token").fill("SHOP_KEY")
    card.get_by_label("more").fill('{"a": 1')
    card.get_by_role("button", name="Save").click()
    expect(card.get_by_role("status").filter(has_text="no JSON")).to_be_visible()
    card.get_by_label("more").fill('{"a": 1}')
    card.get_by_role("button", name="Save").click()

    wait_until(lambda: bool(admin.said))
    [(method, path, body)] = admin.said
    assert (method, path) == ("PUT", "/v1/plugins/order_query")
    # What is as the manifest says (url) is not said again.
    assert body == {
        "config": {
            "token": {"secret": "SHOP_KEY"}, "tries": 4, "rate": 0.5, "strict": True,
            "mode": "careful", "tags": ["a", "b"], "more": {"a": 1},
        }
    }  # fmt: skip


def test_saving_the_form_changes_only_what_somebody_changed(
    admin: AdminStub, open_page: OpenPage
) -> None:
    # given a token that stands there as it is, fields that nobody ever set, and a value of no field
    [row] = [row for row in admin.plugins if row["name"] == "order_query"]
    row["config_default"] = {"url": "https://shop.example"}
    config = {"token": "plain", "url": "https://shop.example", "unknown": [1, {"a": None}]}
    row["stable"] = {**row["stable"], "config": config}
    row["config_schema"]["required"] = ["url", "token"]
    page = open_page(f"{admin.url}/admin#/plugins/order_query")
    card = page.locator("[data-plugin=order_query]")
    expect(card.get_by_label("token")).to_have_value("")
    expect(card.get_by_label("mode")).to_have_value("")

    card.get_by_label("tries").fill("4")
    card.get_by_role("button", name="Save").click()

    wait_until(lambda: bool(admin.said))
    assert admin.said[0][2] == {"config": {**config, "tries": 4}}


def test_a_version_is_rolled_out_by_a_slider_and_a_breaker_is_shown(
    admin: AdminStub, open_page: OpenPage
) -> None:
    page = open_page(f"{admin.url}/admin#/plugins")
    card = page.locator("[data-plugin=web_get]")
    expect(card).to_contain_text("breaker open")
    slider = card.get_by_label("New versions reach")
    slider.fill("25")
    expect(card.locator("output")).to_have_text("25 %")
    card.get_by_role("button", name="Apply").click()
    expect(card).to_contain_text("the next one begins with 25 %")
    card.get_by_role("switch").uncheck()
    expect(card).to_contain_text("switched off")

    assert [body for _, _, body in admin.said] == [{"rollout_percent": 25}, {"enabled": False}]


@pytest.mark.long
def test_a_bundle_is_uploaded_and_a_plugin_removed(
    admin: AdminStub, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page(f"{admin.url}/admin#/plugins")
    for name in ("orders.zip", "orders.sig"):
        (tmp_path / name).write_text("x")
    page.get_by_label("Bundle (.zip)").set_input_files(tmp_path / "orders.zip")
    page.get_by_label("Signature (.sig)").set_input_files(tmp_path / "orders.sig")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("pushed is taken")).to_be_visible()
    expect(page.locator("[data-plugin]")).to_have_count(3)

    page.get_by_role("button", name="Remove: pushed").click()
    page.get_by_role("button", name="Yes").click()

    expect(page.locator("[data-plugin]")).to_have_count(2)
    assert [(method, body) for method, _, body in admin.said] == [("POST", True), ("DELETE", {})]
