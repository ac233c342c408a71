"""A cycle of one scan beside earlier full cycles: which of them tell its half-life, and that more tell it better."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.domain.nuclide import Radionuclide
from pipeline.physics.kinetics.earlier_cycles import EarlierCurves, EarlierFit, fit_with_earlier, half_life_from
from pipeline.physics.kinetics.hierarchical_fit import fit_cycles
from pipeline.physics.kinetics.single_scan import HalfLifePrior, fit_single_scan, patient_prior

HOUR = 3600.0
LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
SCANS_H = (24.0, 96.0, 168.0)


def curve(half_life_h: float, times_h: tuple[float, ...] = SCANS_H) -> TimeActivityCurve:
    time = np.array(times_h) * HOUR
    return TimeActivityCurve(time, 1e8 * np.exp(-math.log(2.0) / (half_life_h * HOUR) * time), None)


def rising() -> TimeActivityCurve:
    return TimeActivityCurve(np.array((4.0, 24.0, 96.0)) * HOUR, np.array((5e7, 1e8, 3e7)), None)


def fit(cycle: int, *flags: str, points: TimeActivityCurve | None) -> EarlierFit:
    return EarlierFit(cycle, 51.0 * HOUR, 3.0 * HOUR, flags, points)


FULL = curve(51.0)


@pytest.mark.parametrize(
    ("fits", "head_rule", "expected"),
    [
        ([fit(1, points=FULL)], "extrapolate", "cycle 1 of this patient"),
        ([fit(1, points=FULL), fit(2, points=FULL)], "constant", "cycles 1, 2 of this patient together"),
        # one of three did not pass, be it the last
        (
            [fit(1, points=FULL), fit(2, points=FULL), fit(3, "FIT_WARN", points=FULL)],
            "extrapolate",
            "cycles 1, 2 of this patient together",
        ),
        ([fit(2, points=FULL), fit(3, "AT_PHYSICAL_LIMIT", points=FULL)], "extrapolate", None),
        ([fit(2, "FIT_WARN", points=FULL), fit(3, points=FULL)], "extrapolate", "cycle 3 of this patient"),
        # points that are not on record cannot be fitted together
        ([fit(2, points=None), fit(3, points=FULL)], "extrapolate", "cycle 3 of this patient"),
        ([fit(2, points=rising()), fit(3, points=FULL)], "constant", "cycle 3 of this patient"),
        ([fit(2, points=rising()), fit(3, points=FULL)], "extrapolate", "cycles 2, 3 of this patient together"),
        # not in the last full cycle, and one alone before it
        ([fit(1, points=FULL)], "extrapolate|3", None),
        ([], "extrapolate|3", None),
    ],
)
def test_which_cycles_tell(fits: list[EarlierFit], head_rule: str, expected: str | None) -> None:
    rule, _, last = head_rule.partition("|")
    found = half_life_from(fits, int(last) if last else max(one.cycle for one in fits), rule)  # type: ignore[arg-type]
    assert (found.source if found else None) == expected
    assert isinstance(found, EarlierCurves) == ("together" in (expected or ""))


def test_the_source_names_version_and_signature() -> None:
    one, two = (
        EarlierFit(cycle, 51.0 * HOUR, 3.0 * HOUR, (), FULL, f"version {cycle + 1}, signed by a physicist")
        for cycle in (1, 2)
    )
    alone, together = half_life_from([one], 1, "extrapolate"), half_life_from([one, two], 2, "extrapolate")
    assert alone
    assert alone.source == "cycle 1 (version 2, signed by a physicist) of this patient"
    assert together
    assert "1 (version 2, signed by a physicist), 2 (version 3, signed by a physicist)" in together.source


def test_the_last_cycle_alone_is_used_as_it_was_filed() -> None:
    found = half_life_from([fit(4, points=FULL)], 4, "extrapolate")
    assert isinstance(found, HalfLifePrior)
    assert found == patient_prior(51.0 * HOUR, 3.0 * HOUR, "cycle 4 of this patient")


def test_one_scan_gets_what_the_hierarchical_fit_of_all_cycles_says() -> None:
    curves = (curve(48.0), curve(55.0))
    last = curve(51.0, (24.0,))
    found = fit_with_earlier(last, LU, EarlierCurves(curves, "cycles 1, 2 of this patient together"))
    whole = fit_cycles((*curves, last), LU)
    assert found.tia_bq_s == whole.cycles[2].tia_bq_s
    assert found.tia_ci95_bq_s == whole.cycles[2].tia_ci95_bq_s
    assert (found.model, found.half_life_source) == ("hierarchical", "cycles 1, 2 of this patient together")
    assert found.flags == ("SINGLE_POINT_PRIOR",)
    # 1e8 Bq at 51 h; the middle of 48 and 55 h and the mean over what is open lie within 2 %.
    assert found.tia_bq_s == pytest.approx(1e8 * 51.0 * HOUR / math.log(2.0), rel=0.02)
    assert 0.0 < found.assumed_fraction < 1.0


def test_cycles_that_agree_tell_more_than_one() -> None:
    # Five cycles of 51 h: the spread between cycles is found to be smaller than what one cycle has to assume.
    last = curve(51.0, (24.0,))
    alone = fit_single_scan(last, LU, patient_prior(51.0 * HOUR, 1.5 * HOUR, "cycle 5 of this patient"))
    together = fit_with_earlier(last, LU, EarlierCurves((FULL,) * 5, "cycles 1, 2, 3, 4, 5 of this patient together"))
    assert together.effective_half_life_sigma_s < alone.effective_half_life_sigma_s
    assert together.assumed_fraction < alone.assumed_fraction


def test_physical_decay_as_tail_is_flagged_as_an_upper_bound() -> None:
    found = fit_with_earlier(curve(51.0, (24.0,)), LU, EarlierCurves((FULL, FULL), "test"), tail_rule="physical")
    assert found.flags == ("SINGLE_POINT_PRIOR", "TAIL_PHYSICAL_UPPER_BOUND")
