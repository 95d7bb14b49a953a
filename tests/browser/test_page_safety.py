"""Answers and documents may hold anything; none of it may run, load or lead away."""

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import WATCH, OpenPage, ask, finished, wait_until
from tests.browser.stub import Stub
from tests.browser.stub_turns import Script

HOSTILE = {
    "script": "<script>window.hacked = 1</script>",
    "image with handler": "<img src=x onerror='window.hacked = 1'>",
    "svg": "<svg onload='window.hacked = 1'><animate onbegin='window.hacked = 1'></svg>",
    "link that runs": "[click](javascript:window.hacked=1)",
    "disguised link": "[a](java&#x0A;script:hacked=1) [b](&#106;avascript:window.hacked=1)",
    "data link": "[click](data:text/html,<script>window.hacked=1</script>)",
    "remote image": "![pixel](http://127.0.0.1:9/leak?q=secret)",
    "remote style": "<link rel=stylesheet href=http://127.0.0.1:9/x.css><style>*{color:red}</style>",
    "frame": "<iframe src='javascript:window.hacked=1'></iframe><object data=x></object>",
    "form": "<form action=//127.0.0.1:9/><button formaction=javascript:hacked=1>go</button></form>",
    "attribute": "<b style='position:fixed' onclick='window.hacked=1'>bold</b>",
    "inside emphasis": "**<img src=x onerror=hacked=1>**\n\n> <svg/onload=hacked=1>",
    "inside code": "`<script>hacked=1</script>`",
    "table": "| <img src=x onerror=hacked=1> | b |\n|---|---|\n| <script>hacked=1</script> | d |",
    "broken": '<a href="javascript:hacked=1" title=\'"><img src=x onerror=hacked=1>\'>x</a><math>',
    "citation": "[1] <button data-n='1' onclick='hacked=1'>x</button>\n[1]: javascript:hacked=1",
    "code fence": '```"onload=hacked=1><img src=x onerror=hacked=1>\n<svg/onload=hacked=1>\n```',
}

HARMLESS = """() => {
  const inside = document.querySelector("#page");
  const bad = inside.querySelectorAll("script, iframe, object, embed, form:not(.composer), link, "
    + "style, svg animate, math, base, meta");
  const images = [...inside.querySelectorAll("img")]
    .filter((image) => !image.src.endsWith("/assets/icon.svg"));
  const handlers = [...inside.querySelectorAll("*")]
    .flatMap((element) => [...element.attributes]).filter(({ name }) => name.startsWith("on"));
  // A place within the page leads nowhere else.
  const links = [...inside.querySelectorAll("a[href]")]
    .filter((link) => !link.matches("[href^='#'], .tool[href='/admin']")
    && (!/^https?:$/.test(link.protocol) || !link.rel.includes("noopener")));
  return { bad: bad.length, images: images.length, handlers: handlers.length, links: links.length,
           hacked: window.hacked ?? null };
}"""
NOTHING = {"bad": 0, "images": 0, "handlers": 0, "links": 0, "hacked": None}


def click_everything(page: Page) -> None:
    for element in page.locator(".text a, .text button").all():
        element.dispatch_event("click")


def test_a_hostile_answer_does_nothing(stub: Stub, open_page: OpenPage) -> None:
    foreign: list[str] = []
    page = open_page(stub.url)
    page.on(
        "request",
        lambda request: foreign.append(request.url) if stub.url not in request.url else None,
    )

    for number, (name, text) in enumerate(HOSTILE.items(), start=1):
        half = len(text) // 2
        stub.scripts[name] = Script(pieces=(text[:half], text[half:]), delay_s=0.02)
        ask(page, name)
        finished(page, turns=number)
        click_everything(page)
        assert page.evaluate(HARMLESS) == NOTHING, name

    answers = page.locator(".text").all_inner_texts()
    assert answers[0] == HOSTILE["script"]  # shown as what it is: text
    # An image and a bare address become links; what would run becomes none, not even without href.
    links = page.locator(".text a").evaluate_all(
        "(all) => all.map((link) => link.getAttribute('href'))"
    )
    assert len(links) == 2
    assert all(link.startswith("http://127.0.0.1:9/") for link in links)
    assert foreign == []


def test_a_hostile_document_and_question_do_nothing(stub: Stub, open_page: OpenPage) -> None:
    hostile = " ".join(HOSTILE.values())
    text = f"{hostile}\n\nThe passage. {hostile}"
    start = text.index("The passage.")
    doc = stub.add_document(
        {"document": hostile[:120], "revision": hostile[:64], "title": hostile, "text": text,
         "span": [start, start + 12]},
        heading=[hostile, "x"],
    )  # fmt: skip
    stub.default = Script(pieces=("See [1].",), sources=[doc])
    page = open_page(stub.url)

    ask(page, hostile)
    finished(page)
    page.locator(".cite").click()
    page.locator(".document mark").wait_for()

    assert page.locator(".document mark").text_content() == "The passage."
    assert page.locator(".question p").text_content() == hostile
    assert page.evaluate(HARMLESS) == NOTHING


def test_a_link_in_an_answer_leads_away_only_when_clicked(stub: Stub, open_page: OpenPage) -> None:
    stub.default = Script(pieces=("See [the page](https://shop.example/a?b=1&c=2).",))
    page = open_page(stub.url)

    ask(page, "Link?")
    finished(page)

    link = page.locator(".text a")
    assert link.get_attribute("href") == "https://shop.example/a?b=1&c=2"
    assert link.get_attribute("target") == "_blank"
    assert set((link.get_attribute("rel") or "").split()) == {"noopener", "noreferrer", "nofollow"}


def test_a_source_is_fetched_from_the_sources_route_only(stub: Stub, open_page: OpenPage) -> None:
    doc = {"id": "p1", "n": 1, "title": "T", "document": "d", "revision": "r", "page": None,
           "heading": [], "span": [0, 1], "kb": "default", "generation": 3,
           "url": "http://127.0.0.1:9/steal"}  # fmt: skip
    stub.default = Script(pieces=("See [1].",), sources=[doc])
    page = open_page(stub.url)
    ask(page, "Steal?")
    finished(page)

    page.locator(".cite").click()

    page.locator(".source-absent").wait_for()
    assert [path for _, path, _ in stub.asked("GET", r"/v1/sources/")] == [
        "/v1/sources/default/3/p1"
    ]


def test_invisible_characters_are_not_shown(stub: Stub, open_page: OpenPage) -> None:
    stub.default = Script(pieces=("a\u202eb\u200bc\U000e0041d 👨‍👩‍👧",))
    page = open_page(stub.url)

    ask(page, "Invisible?")
    finished(page)

    assert page.locator(".text").inner_text() == "abcd 👨‍👩‍👧"


@pytest.mark.parametrize("text", ["See [7].", "An array a[1] and [1]", "[1][2] and [3]"])
def test_only_numbers_of_known_sources_are_citations(
    stub: Stub, open_page: OpenPage, text: str
) -> None:
    source = {"document": "d", "revision": "r", "title": "T", "text": "x", "span": [0, 1]}
    docs = [stub.add_document(source, n=1), stub.add_document(source, n=2)]
    stub.default = Script(pieces=(text,), sources=docs)
    page = open_page(stub.url)

    ask(page, "Which?")
    finished(page)

    expected = [number for number in ("1", "2") for _ in range(text.count(f"[{number}]"))]
    assert page.locator(".cite").all_inner_texts() == expected


def test_the_watch_for_violations_sees_one(stub: Stub, browser: Browser) -> None:
    """The other tests rest on this watch, so it must be able to bark."""
    with browser.new_context() as context:
        context.add_init_script(WATCH)
        page = context.new_page()
        page.goto(stub.url)

        page.evaluate(
            """() => {
              const script = document.createElement("script");
              script.textContent = "window.hacked = 1";
              document.body.append(script);
            }"""
        )

        # Polled from here: the page's policy forbids the eval of Playwright's own waiting.
        wait_until(lambda: page.evaluate("window.violations.length") > 0)
        assert page.evaluate("window.hacked ?? null") is None
