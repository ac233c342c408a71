"""Tumour burden: test vectors of section 7.4 and boundaries of S-20 to S-26 (clinical specification)."""

from __future__ import annotations

import pytest
from refused import refused

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


INF = float("inf")


@pytest.mark.parametrize(
    ("call", "found"),
    [
        (lambda: hepatic_fraction_percent(0.0, 0.0), "0.0 mL"),
        (lambda: hepatic_fraction_percent(11.0, 10.0), "lesions 11.0 mL in a liver of 10.0 mL"),
        (lambda: hepatic_fraction_percent(-1.0, 10.0), "-1.0 mL"),
        (lambda: hepatic_fraction_percent(1.0, INF), "inf"),
        (lambda: hepatic_category(100.1, enlarged=False), "100.1 %"),
        (lambda: hepatic_category(-0.1, enlarged=False), "-0.1 %"),
        (lambda: hepatic_category(float("nan"), enlarged=False), "nan %"),
        (lambda: bone_points(-1, 0), "-1 bone lesions"),
        (lambda: bone_points(0, -1), "-1 skeletal regions"),
        (lambda: peritoneal_points(-1), "-1 peritoneal or pleural deposits"),
        (lambda: node_points(["elbow", "iliac", "ankle"]), "ankle, elbow"),
        (lambda: BurdenPoints(liver=5, bone=4), "liver 5, bone 4"),
        (lambda: BurdenPoints(lymph_nodes=4, bone=-1), "bone -1, lymph_nodes 4"),
        (lambda: BurdenPoints(peritoneal_pleural=3), "peritoneal_pleural 3"),
        (lambda: suggested_enlargement(300.0, expected_liver_ml(0.5)), "-161 mL"),
        (lambda: suggested_enlargement(300.0, 0.0), "0 mL"),
    ],
)
def test_refusals(call, found) -> None:
    with refused("BURDEN_INVALID", where="tumour burden", found=found):
        call()


@pytest.mark.parametrize(("height_cm", "weight_kg"), [(0.0, 80.0), (180.0, 0.0), (INF, 80.0), (180.0, INF)])
def test_a_body_without_height_or_weight_is_refused(height_cm, weight_kg) -> None:
    with refused("BURDEN_INVALID", where="cycle form", found=f"height {height_cm} cm, weight {weight_kg} kg"):
        body_surface_m2(height_cm, weight_kg, "mosteller")


def test_the_ends_of_what_is_allowed() -> None:
    assert hepatic_fraction_percent(0.0, 0.5) == 0.0
    assert hepatic_fraction_percent(0.4, 0.5) == pytest.approx(80.0)
    assert hepatic_fraction_percent(1500.0, 1500.0) == 100.0
    assert hepatic_category(100.0, enlarged=False) == "C"
    assert body_surface_m2(0.5, 7200.0, "mosteller") == 1.0
    assert body_surface_m2(7200.0, 0.5, "mosteller") == 1.0
    assert suggested_enlargement(0.5, 1.0) == "NOT_ENLARGED"


def test_one_lesion_is_a_lesion_and_nothing_is_diffuse_unless_said() -> None:
    assert bone_points(1, 1) == 1
    assert peritoneal_points(1) == 1
    assert (bone_points(0, 0), peritoneal_points(0)) == (0, 0)
