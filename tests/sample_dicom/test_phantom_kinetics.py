"""Activity of the phantom patient: budget, plausibility, cycles, laboratory values."""

from __future__ import annotations

import csv
from datetime import date, timedelta

import numpy as np
import pytest

from sample_dicom.kinetics import washout
from sample_dicom.phantoms import patient
from sample_dicom.plan import motion_of, plan_of
from sample_dicom.truth_document import truth_document

HOUR = 3600.0


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def plan(seed, *, perfect, cycles=2):
    return plan_of(
        patient(seed, perfect=perfect), kind="patient", dialect="nm-counts", seed=seed, perfect=perfect, cycles=cycles
    )


@pytest.mark.parametrize("perfect", [True, False])
@pytest.mark.parametrize("seed", [1, 5])
def test_never_more_activity_than_was_given(seed, perfect):
    """Total in the body <= administered, decayed with 159.53 h, at every hour of two weeks."""
    for cycle in plan(seed, perfect=perfect).cycles:
        for hours in np.linspace(0.0, 336.0, 337):
            total = sum(curve.at(hours * HOUR) for curve in cycle.curves.values())
            assert 0.0 <= total <= cycle.administered_bq * 2.0 ** (-hours / 159.53)


def test_mean_and_integral_of_a_curve_are_exact():
    """Against the trapezoid on a fine grid: 1e-6."""
    curve = washout(1e8, 52.0, 1.5)
    t = np.linspace(0.0, 2000.0, 400_001) * HOUR
    values = 1e8 * (2.0 ** (-t / 52.0 / HOUR) - 2.0 ** (-t / 1.5 / HOUR))
    assert curve.integral() == pytest.approx(np.trapezoid(values, t), rel=1e-6)
    some = (t >= 24 * HOUR) & (t <= 25 * HOUR)
    assert curve.mean(24 * HOUR, 25 * HOUR) == pytest.approx(np.trapezoid(values[some], t[some]) / HOUR, rel=1e-6)


def test_doses_lie_in_the_published_ranges():
    """Gy per 7.4 GBq. Kidney 0.38-0.61, liver 0.2-0.4, spleen 0.5-1.2, marrow 0.01-0.03 Gy/GBq; lesions 2-77 Gy."""
    document = truth_document(plan(4, perfect=True))
    for cycle in document["cycles"]:
        gbq = cycle["activity_bq"] / 1e9
        per_gbq = {(r["name"], r["laterality"]): r["mean_dose_gy"] / gbq for r in cycle["regions"]}
        for side in ("left", "right"):
            assert 0.38 < per_gbq["kidney", side] < 0.61
        assert 0.2 < per_gbq["liver", None] < 0.4
        assert 0.5 < per_gbq["spleen", None] < 1.2
        assert 0.01 < per_gbq["marrow", None] < 0.03
        for k in range(1, 6):
            assert 2.0 < per_gbq[f"lesion-{k}", None] * gbq < 77.0
    first, second = document["cycles"]
    for before, after in zip(first["regions"], second["regions"], strict=True):
        fall = after["tia_bq_s"] / before["tia_bq_s"] * first["activity_bq"] / second["activity_bq"]
        assert fall == pytest.approx(0.92 if before["kind"] == "lesion" else 1.0, rel=1e-6)


def test_cycles_are_49_days_apart_with_scans_at_24_96_168_h():
    """Scan times jitter by no more than 35 minutes."""
    first, second = plan(2, perfect=False).cycles
    assert (second.administered_at.date() - first.administered_at.date()) == timedelta(days=49)
    assert first.administered_at.date() == date(2026, 3, 2)
    hours = np.array([first.delay_s(start) / HOUR for start in first.starts])
    assert np.abs(hours - [24.0, 96.0, 168.0]).max() <= 35.0 / 60.0 + 1e-9
    assert len(set(np.round(hours % 1.0, 4))) > 1


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_patient_moves_a_little_but_not_at_first(seed):
    """Shift 3-8 mm, turn up to 2 degrees; none at the first time point and none in the perfect phantom."""
    made = plan(seed, perfect=False, cycles=1)
    still, *moved = (motion_of(made, made.cycles[0], k) for k in (1, 2, 3))
    assert still.shift_mm == (0.0, 0.0, 0.0)
    for motion in moved:
        assert 3.0 <= np.linalg.norm(motion.shift_mm) <= 8.0
        assert 0.0 < np.rad2deg(np.arccos((np.trace(motion.turn) - 1.0) / 2.0)) < 2.0


def test_blood_counts_pass_the_gates_five_days_before_each_cycle(perfect):
    """WBC > 3.0, granulocytes > 1.5, platelets > 100 (protocol); imaging between cycles 1 and 2."""
    rows = rows_of(perfect.folder / "labs.csv")
    assert [row["date"] for row in rows] == ["2026-02-25", "2026-04-15"]
    for row in rows:
        assert float(row["wbc"]) > 3.0
        assert float(row["granulocytes"]) > 1.5
        assert float(row["platelets"]) > 100.0
    (image,) = rows_of(perfect.folder / "imaging.csv")
    assert image["recist"] == "SD"
    assert date(2026, 3, 2) < date.fromisoformat(image["date"]) < date(2026, 4, 20)


def test_perfect_blood_and_marrow_hold_the_same_concentration(perfect):
    """Mono-exponential: blood.csv at the scan times equals marrow and aorta activity per mL in the truth (1e-3)."""
    samples = rows_of(perfect.cycle / "blood.csv")
    time_h, value = (np.array([float(row[key]) for row in samples]) for key in ("time_h", "activity_bq_per_ml"))
    slope, offset = np.polyfit(time_h, np.log(value), 1)
    starts = [np.datetime64(s[:19]) for s in perfect.truth["acquisition_starts"]]
    hours = np.array(
        [(s - np.datetime64(perfect.truth["administered_at"][:19])) / np.timedelta64(1, "h") for s in starts]
    )
    for region in perfect.truth["regions"]:
        if region["name"] in {"marrow", "aorta"}:
            concentration = np.array(region["activity_bq"]) / region["volume_ml"]
            assert concentration == pytest.approx(np.exp(offset + slope * hours), rel=1e-3)
