"""docs/reference/cli.md says what the commands are."""

from scripts.cli_reference import PAGE, page


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `python -m scripts.cli_reference`"


def test_every_option_is_explained() -> None:
    for line in page().splitlines():
        cells = [cell.strip() for cell in line.split(" | ")]
        if line.startswith("| `"):
            assert cells[-1].rstrip("| "), line
