"""Whatever encoding a text was saved in, it is read as it was written, or refused."""

import pytest

from kotaemon_node.adapters.documents.decoding import decoded
from kotaemon_node.domain.errors import DocumentRefused

CHINESE = "工作日 14:00 之前付款的订单当天发货，我们会把物流信息发到您的邮箱。"
TRADITIONAL = "工作日 14:00 之前付款的訂單當天發貨，我們會把物流資訊發到您的信箱。"
GERMAN = "Für größere Möbel wählen Sie bitte einen Liefertag; das Café am Lager hat geöffnet."
FRENCH = "Les colis abîmés doivent être signalés à la livraison, où que vous soyez."
CZECH = "Příliš žluťoučký kůň úpěl ďábelské ódy, šest dní v týdnu."
TURKISH = (
    "Siparişiniz iki iş günü içinde kargoya verilir; teşekkür ederiz, görüşmek üzere. Işık açık."
)
RUSSIAN = "Заказ отправляется со склада в тот же день, если он оплачен до двух часов."
JAPANESE = "ご注文は翌営業日に発送されます。お問い合わせはメールでお願いします。"
KOREAN = "주문하신 상품은 다음 날에 발송됩니다. 문의는 이메일로 해 주시기 바랍니다."


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "utf-8"),
        (CHINESE, "utf-8-sig"),
        (CHINESE, "utf-16"),
        (CHINESE, "utf-16-le"),
        (CHINESE, "utf-16-be"),
        (CHINESE, "utf-32"),
        (CHINESE, "utf-32-be"),
        (CHINESE, "gbk"),
        (CHINESE, "gb18030"),
        ("𠮷" + CHINESE, "gb18030"),
        (TRADITIONAL, "big5"),
        (TRADITIONAL, "gbk"),
        (GERMAN, "latin-1"),
        (FRENCH, "latin-1"),
        (GERMAN, "utf-16-le"),
        ("It costs £5 — “really” — and that’s all.", "cp1252"),
        (CZECH, "cp1250"),
        (CZECH, "iso8859-2"),
        (TURKISH, "cp1254"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        (JAPANESE, "iso2022_jp"),
        (KOREAN, "euc_kr"),
    ],
)
def test_a_text_is_read_in_the_encoding_it_was_written_in(text: str, encoding: str) -> None:
    assert decoded(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("退货政策", "gbk"),
        ("运费多少", "gbk"),
        ("梁诚（Liang Cheng）", "gbk"),
        ("订单里的 status 取值为 [paid]，见 `orders`。", "gbk"),
        ("我們的退貨政策", "big5"),
        ("請問運費是多少？", "big5"),
    ],
)
def test_a_few_words_of_chinese_are_enough(text: str, encoding: str) -> None:
    assert decoded(text.encode(encoding)) == text


def test_a_declared_encoding_is_believed_where_bytes_alone_could_not_tell() -> None:
    page = '<html><head><meta charset="{}"></head><body>Ñandú über Łódź: ąęł</body></html>'
    assert "Łódź: ąęł" in decoded(page.format("iso-8859-2").replace("Ñ", "N").encode("iso8859-2"))


def test_a_declaration_that_the_bytes_contradict_is_not_believed() -> None:
    page = f'<meta charset="utf-8">{CHINESE}'
    assert decoded(page.encode("gbk")) == page


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CHINESE.encode()[:-1], "damaged: byte"),
        (CHINESE.encode().replace("付".encode(), b"\xff"), "damaged: byte"),
        (b"\xff\xfe\x00", "damaged: it begins as UTF-16"),
        (b"text with\x00 a zero byte", "binary"),
        (bytes(range(1, 256)) * 20, "binary|not recognised"),
    ],
    ids=["cut", "one byte wrong", "half a character", "zero byte", "all bytes"],
)
def test_what_cannot_be_read_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(DocumentRefused, match=reason):
        decoded(content)
