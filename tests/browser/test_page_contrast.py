"""Texts can be read: WCAG AA asks for a contrast of 4.5 to 1."""

from typing import Literal

import pytest

from tests.browser.conftest import OpenPage, ask, finished
from tests.browser.knowledge import QUESTION, add_shop
from tests.browser.stub import Stub
from tests.browser.stub_turns import Script

CONTRAST_MIN = 4.5

# Luminance and contrast as WCAG 2 defines them. A canvas turns any colour notation into numbers.
LOW_CONTRASTS = """(least) => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const paint = canvas.getContext("2d", { willReadFrequently: true });
  const over = (colours) => {
    paint.clearRect(0, 0, 1, 1);
    for (const colour of colours) { paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1); }
    return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => rgb.map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const grounds = (element) => (element === null ? ["white"]
    : [...grounds(element.parentElement), getComputedStyle(element).backgroundColor]);
  const texts = [...document.querySelectorAll("#page *")].filter((element) =>
    !element.closest("[disabled], .hidden, .skip, .row-remove") && element.getClientRects().length
    && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  return texts.map((element) => {
    const below = grounds(element);
    const pair = [luminance(over([...below, getComputedStyle(element).color])),
                  luminance(over(below))].sort((a, b) => b - a);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
    return { contrast, text: `${element.className}: ${element.textContent.slice(0, 40)}` };
  }).filter(({ contrast }) => contrast < least);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground(
    stub: Stub, open_page: OpenPage, scheme: Literal["light", "dark"]
) -> None:
    add_shop(stub)
    error = {"code": "internal", "message": "x", "retryable": False}
    stub.scripts["Fail?"] = Script(pieces=("`Half` an answer",), error=error)
    page = open_page(stub.url, color_scheme=scheme)
    ask(page, QUESTION)
    finished(page)
    ask(page, "Fail?")
    page.wait_for_selector(".turn[data-state=failed]")
    page.locator(".cite").first.click()
    page.locator(".document mark").wait_for()
    page.get_by_role("button", name="Cluster").click()
    page.locator(".pods li").first.wait_for()

    assert page.evaluate(LOW_CONTRASTS, CONTRAST_MIN) == []
