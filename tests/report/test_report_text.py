"""Numbers and names as printed: two digits of sigma, dashes for what is missing, nothing read as mark-up."""

from __future__ import annotations

import pytest

from pipeline.report import text


@pytest.mark.parametrize(
    ("value", "sigma", "printed"),
    [
        (4.2631, 0.5531, "4.26 ± 0.55"),
        (36.61, 6.2, "36.6 ± 6.2"),
        (0.1181, 0.0283, "0.118 ± 0.028"),
        (152.3, 14.0, "152 ± 14"),
        (1520.0, 140.0, "1520 ± 140"),
        (4.2631, None, "4.26 ± –"),
        (None, 0.5, "–"),
        (float("nan"), 0.5, "–"),
        (5.0, 0.0, "5.00 ± 0.00"),
    ],
)
def test_value_with_sigma(value: float | None, sigma: float | None, printed: str) -> None:
    assert text.with_sigma(value, sigma) == printed


@pytest.mark.parametrize(
    ("value", "printed"),
    [(0.012345, "0.0123"), (1234.5, "1234"), (23.0, "23.0"), (0.0, "0"), (None, "–"), (-1.5, "−1.50")],
)
def test_significant_digits_without_exponent(value: float | None, printed: str) -> None:
    assert text.significant(value) == printed


def test_a_small_probability_is_not_shown_as_none() -> None:
    assert text.percent(4e-9, 1) == "< 0.1 %"
    assert text.percent(0.0, 1) == "0.0 %"
    assert text.percent(0.2, 0) == "20 %"
    assert text.percent(None) == "–"


def test_units_of_time() -> None:
    assert text.hours(7200.0) == "2.0"
    assert text.hours(None) == "–"
    assert text.moment("2026-03-02T10:00:00+01:00") == "2026-03-02 10:00 +01:00"


def test_everything_dynamic_is_escaped() -> None:
    assert text.safe("a < b & <b>c</b>") == "a &lt; b &amp; &lt;b&gt;c&lt;/b&gt;"
    assert text.safe("x\x00y") == "x�y"
    assert text.safe(None) == text.safe("  ") == "–"
    assert "<b>" not in text.nuclide_markup("<b>", size=8, rise=4)


@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("kidney_left", "Kidney, left"),
        ("lesion-3", "Lesion 3"),
        ("liver", "Liver (normal)"),
        ("liver_with_lesions", "Liver with lesions"),
        ("marrow", "Red marrow"),
        (None, "Whole result"),
    ],
)
def test_titles_of_regions(key: str | None, title: str) -> None:
    assert text.key_title(key) == title
