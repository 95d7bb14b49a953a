"""What a reader cannot see does not get into the text."""

import sys
import unicodedata

import pytest

from kotaemon_node.adapters.documents.visible import one_line, visible_text

# Signs of Arabic, Syriac and Kaithi that are drawn although Unicode calls them formats.
DRAWN = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}


def test_no_control_or_format_character_is_left() -> None:
    invisible = [
        code
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs"} and code not in DRAWN
    ]
    left = visible_text("".join(map(chr, invisible)))
    assert set(left) <= {"\n", "\t"}


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("re\u200bfund", "refund"),
        ("\u202eevil\u202c text", "evil text"),
        ("\U000e0049\U000e0067nore", "nore"),
        ("soft\u00adhyphen", "softhyphen"),
        ("one\r\ntwo\rthree\u2028four\x0cfive", "one\ntwo\nthree\nfour\nfive"),
        ("naïve café 退货 👍", "naïve café 退货 👍"),
    ],
)
def test_hidden_characters_go_and_line_ends_become_one(text: str, seen: str) -> None:
    assert visible_text(text) == seen


def test_a_wrapped_line_of_chinese_goes_on_without_a_blank() -> None:
    assert one_line("我们在五个工作日内\n退款。\nWe refund\nsoon.") == (
        "我们在五个工作日内退款。 We refund soon."
    )
