"""Tumour burden: test vectors of section 7.4 and boundaries of S-20 to S-26 (clinical specification)."""

from __future__ import annotations

import pytest

from pipeline.errors import RefusalError
from pipeline.rules.burden import (
    BurdenPoints,
    body_surface_m2,
    bone_points,
    expected_liver_ml,
    hepatic_category,
    hepatic_fraction_percent,
    is_borderline,
    liver_points,
    node_points,
    peritoneal_points,
    suggested_enlargement,
)


@pytest.mark.parametrize(
    ("percent", "enlarged", "category"),
    [
        (0.0, False, "A"),
        (9.99, True, "A"),
        (10.0, False, "B"),
        (50.0, True, "B"),
        (50.01, False, "C"),
        (50.01, True, "D"),
    ],
)
def test_hepatic_category(percent, enlarged, category) -> None:
    assert hepatic_category(percent, enlarged=enlarged) == category


@pytest.mark.parametrize(
    ("percent", "enlarged", "points"),
    [(0.0, False, 0), (9.99, False, 1), (10.0, False, 2), (50.0, False, 2), (50.01, False, 3), (60.0, True, 4)],
)
def test_liver_points(percent, enlarged, points) -> None:
    assert liver_points(percent, enlarged=enlarged) == points


@pytest.mark.parametrize(
    ("ratio", "suggestion"),
    [(1.31, "ENLARGED"), (1.30, "ENLARGED"), (1.29, "BORDERLINE"), (1.15, "BORDERLINE"), (1.14, "NOT_ENLARGED")],
)
def test_suggested_enlargement(ratio, suggestion) -> None:
    assert suggested_enlargement(ratio * 1000.0, 1000.0) == suggestion


@pytest.mark.parametrize(
    ("lesions", "regions", "diffuse", "points"),
    [
        (0, 0, False, 0),
        (3, 1, False, 1),
        (4, 1, False, 2),
        (2, 2, False, 2),
        (10, 3, False, 2),
        (11, 1, False, 3),
        (4, 4, False, 3),
        (1, 1, True, 3),
    ],
)
def test_bone_points(lesions, regions, diffuse, points) -> None:
    assert bone_points(lesions, regions, diffuse=diffuse) == points


@pytest.mark.parametrize(
    ("regions", "points"),
    [
        ([], 0),
        (["para-aortic"] * 2, 1),
        (["para-aortic"] * 3, 2),
        (["para-aortic", "iliac"], 2),
        (["para-aortic", "mediastinal"], 3),
    ],
)
def test_node_points(regions, points) -> None:
    assert node_points(regions) == points


@pytest.mark.parametrize(
    ("deposits", "effusion", "points"), [(0, False, 0), (2, False, 1), (3, False, 2), (0, True, 2)]
)
def test_peritoneal_points(deposits, effusion, points) -> None:
    assert peritoneal_points(deposits, effusion_or_diffuse=effusion) == points


@pytest.mark.parametrize(("points", "total"), [((4, 3, 3, 2), 12), ((2, 0, 0, 0), 2), ((), 0)])
def test_total_points(points, total) -> None:
    assert BurdenPoints(*points).total == total


def test_hepatic_fraction() -> None:
    assert hepatic_fraction_percent(180.0, 1800.0) == pytest.approx(10.0, rel=1e-15)


@pytest.mark.parametrize(
    ("percent", "sigma", "borderline"),
    [(9.0, 1.0, True), (8.9, 1.0, False), (50.5, 0.6, True), (30.0, 5.0, False), (11.0, 0.9, False)],
)
def test_borderline_fraction(percent, sigma, borderline) -> None:
    assert is_borderline(percent, sigma) is borderline


def test_expected_liver_of_a_man_of_180_cm_and_80_kg() -> None:
    # Mosteller: sqrt(180 x 80 / 3600) = 2 m2; Vauthey: -794.41 + 2 x 1267.28 = 1740.15 mL.
    assert body_surface_m2(180.0, 80.0, "mosteller") == 2.0
    assert expected_liver_ml(2.0) == pytest.approx(1740.15, abs=1e-9)
    # Du Bois by hand: 0.007184 x 80^0.425 x 180^0.725 = 1.9964 m2.
    assert body_surface_m2(180.0, 80.0, "du_bois") == pytest.approx(1.9964, abs=5e-5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: hepatic_fraction_percent(10.0, 0.0),
        lambda: hepatic_fraction_percent(11.0, 10.0),
        lambda: hepatic_category(100.1, enlarged=False),
        lambda: hepatic_category(float("nan"), enlarged=False),
        lambda: bone_points(-1, 0),
        lambda: node_points(["elbow"]),
        lambda: BurdenPoints(liver=5),
        lambda: body_surface_m2(0.0, 80.0, "mosteller"),
        lambda: suggested_enlargement(300.0, expected_liver_ml(0.5)),
    ],
)
def test_refusals(call) -> None:
    with pytest.raises(RefusalError) as refusal:
        call()
    assert refusal.value.code == "BURDEN_INVALID"
