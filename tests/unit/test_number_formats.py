"""Numbers as the cells of a spreadsheet show them."""

import pytest

from kotaemon_node.adapters.documents.number_formats import shown_number


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (3, "General", "3"),
        (0.1 + 0.2, "General", "0.3"),
        (6900012345678, "General", "6900012345678"),
        (-2.5, "General", "-2.5"),
        (1234.5, "0", "1234"),
        (1234.5, "#,##0.00", "1,234.50"),
        (-1234.5, "#,##0.00;(#,##0.00)", "(1,234.50)"),
        (-1234.5, "#,##0.00_);[Red]\\(#,##0.00\\)", "(1,234.50)"),
        (0, '0;-0;"none"', "none"),
        (7, "00000", "00007"),
        (1.5, "0.###", "1.5"),
        (1, "0.###", "1"),
        (0.256, "0.0%", "25.6%"),
        (12345, "0.00E+00", "1.23E+04"),
        (12, '"No. "0', "No. 12"),
        (12.5, "[$€-407] #,##0.00", "€ 12.50"),
        (12.5, "[$-409]0.0", "12.5"),
        (1500000, '0.0,,"M"', "1.5M"),
        (0.5, "# ?/?", "0.5"),
        (5, "@", "5"),
        (5, '"yes"', "yes"),
        (5, "General", "5"),
        (45356, "yyyy-mm-dd", "2024-03-05"),
        (45356, "m/d/yy", "3/5/24"),
        (45356, "[$-F800]dddd, mmmm dd, yyyy", "Tuesday, March 05, 2024"),
        (45356, "yyyy年m月d日", "2024年3月5日"),
        (45356.588194, "yyyy-mm-dd hh:mm", "2024-03-05 14:07"),
        (45356.588194, "h:mm:ss AM/PM", "2:07:00 PM"),
        (0.000694444, "mm:ss", "01:00"),
        (1.5, "[h]:mm", "36:00"),
        (1e12, "yyyy-mm-dd", "1000000000000"),
        (-1e12, "yyyy-mm-dd", "-1000000000000"),
        (1, "0" * 300, "1"),
        (1, "", "1"),
    ],
)
def test_a_number_is_shown_by_its_format(value: float, number_format: str, shown: str) -> None:
    assert shown_number(value, number_format) == shown


def test_some_workbooks_count_days_from_1904() -> None:
    assert shown_number(0, "yyyy-mm-dd", since_1904=True) == "1904-01-01"
