"""Passages follow the structure of a document and never cut a sentence."""

from coordinator.chunking import ATOM_WEIGHT_MAX, passages_of, weight
from kotaemon_node.adapters.documents.reading import parse_document
from kotaemon_node.domain import limits
from kotaemon_node.domain.knowledge import Passage, passage_id
from kotaemon_node.retrieval.indexed import indexed_text


def passages(name: str, text: str) -> list[Passage]:
    return passages_of(name, "r1", parse_document(name, text.encode()))


def test_a_passage_knows_where_it_stands() -> None:
    (first, second) = passages("a.md", "# Returns\n\nWithin 30 days.\n\n## Costs\n\n免费退货。")
    assert (first.title, first.heading, first.text) == ("Returns", ("Returns",), "Within 30 days.")
    assert (second.heading, second.text, second.language) == (
        ("Returns", "Costs"),
        "免费退货。",
        "zh",
    )
    assert second.id == passage_id(document="a.md", revision="r1", span=second.span)


def test_short_paragraphs_under_one_heading_share_a_passage() -> None:
    (one,) = passages("a.md", "# A\n\nOne.\n\n- two\n- three\n\n```\ncode\n```\n\nFour.")
    assert one.text == "One.\n\n• two\n• three\n\ncode\n\nFour."
    assert one.kind == "text"


def test_equal_headings_of_two_sections_do_not_make_them_one() -> None:
    found = passages("a.md", "# A\n\n## Note\n\nOne.\n\n## Note\n\nTwo.")
    assert [(it.text, it.heading) for it in found] == [
        ("One.", ("A", "Note")),
        ("Two.", ("A", "Note")),
    ]


def test_a_heading_with_nothing_below_it_is_found_as_well() -> None:
    found = passages("a.md", "# Shop\n\n## We never ship to the moon\n\n## Costs\n\nNone.\n\n# End")
    assert [it.text for it in found] == ["We never ship to the moon", "None.", "End"]


def test_a_long_section_is_cut_between_sentences_into_about_equal_pieces() -> None:
    sentences = [f"Sentence number {at} says something about lamps." for at in range(60)]
    found = passages("a.txt", " ".join(sentences))
    sizes = [weight(it.text) for it in found]
    assert len(found) > 2
    assert max(sizes) <= limits.CHUNK_CHARS_MAX
    assert min(sizes) > 0.7 * max(sizes)
    assert " ".join(it.text for it in found) == " ".join(sentences)
    assert all(it.text.endswith(".") and it.text.startswith("Sentence") for it in found)


def test_a_long_section_is_cut_where_a_paragraph_ends_if_one_ends_nearby() -> None:
    paragraph = " ".join(f"Word {at} of the paragraph is here." for at in range(20))
    found = passages("a.txt", "\n\n".join([paragraph] * 4))
    assert [it.text for it in found] == [paragraph] * 4


def test_chinese_passages_are_shorter_in_characters_because_they_say_more() -> None:
    english = passages("a.txt", "The parcel leaves on the same day. " * 200)
    chinese = passages("a.txt", "包裹会在付款当天从仓库发出。" * 200)
    assert len(chinese[0].text) < 0.7 * len(english[0].text)


def test_a_long_table_is_cut_between_rows_and_repeats_its_header_as_a_heading() -> None:
    rows = "".join(f"city {at},{at} days by sea\n" for at in range(200))
    found = passages("a.csv", "destination,delivery\n" + rows)
    assert len(found) > 2
    assert found[0].heading == ()
    assert found[0].text.startswith("| destination | delivery |\n| city 0 |")
    assert all(it.heading == ("| destination | delivery |",) for it in found[1:])
    assert all(it.text.startswith("| city") and it.text.endswith("|") for it in found[1:])
    assert {it.kind for it in found} == {"table"}


def test_an_faq_entry_is_one_passage_however_long() -> None:
    answer = "It depends on many things. " * 200
    found = passages("faq.csv", f'question,answer,tags\nWhen?,"{answer}",time\nWhere?,Here.,\n')
    assert [(it.kind, it.text.partition("\n")[0]) for it in found] == [
        ("faq", "When?"),
        ("faq", "Where?"),
    ]
    assert found[0].heading == ("time",)


def test_what_is_no_sentence_at_all_is_bounded() -> None:
    for text in ("x" * 100_000, "字" * 100_000, "word " * 20_000):
        found = passages("a.txt", text)
        assert max(weight(it.text) for it in found) <= ATOM_WEIGHT_MAX
        assert "".join(it.text for it in found).replace(" ", "") == text.replace(" ", "")


def test_the_indexed_text_says_title_and_headings_once() -> None:
    (passage,) = passages("a.md", "---\ntitle: Shop\n---\n# Shop\n\n## Returns\n\nWithin 14 days.")
    assert indexed_text(passage) == "Shop\nReturns\nWithin 14 days."


def test_the_indexed_text_of_an_faq_entry_is_its_tags_question_and_answer() -> None:
    (passage,) = passages("faq.csv", "question,answer,tags\nWhen?,Soon.,time\n")
    assert indexed_text(passage) == "time\nWhen?\nSoon."


def test_a_header_row_longer_than_what_it_stands_above_is_not_repeated() -> None:
    values = "\n".join(",".join(["value"] * 60) for _ in range(20))
    for width, repeated in ((8, True), (40, False)):
        names = ",".join(f"{at:03}".rjust(width, "n") for at in range(60))
        first, *later = passages("a.csv", f"{names}\n{values}")
        header = first.text.partition("\n")[0]
        assert later
        assert all((it.heading == (header,)) == repeated for it in later)


def test_an_entry_as_long_as_an_article_is_cut_between_sentences_under_its_question() -> None:
    short = " ".join(["Lamps are bright."] * 100)
    article = " ".join(f"Lamp {at} is bright." for at in range(1_000))
    table = f"question,answer\nIs it?,{short}\nWhich are?,{article}\n"
    one, first, *later = passages("a.csv", table)
    assert (one.kind, one.text) == ("faq", f"Is it?\n{short}")
    assert first.text.startswith("Which are?\nLamp 0 is bright.")
    assert {it.heading for it in later} == {("Which are?",)}
    assert all(weight(it.text) <= limits.CHUNK_CHARS_MAX for it in (first, *later))
    assert " ".join(it.text for it in (first, *later)) == f"Which are?\n{article}"
