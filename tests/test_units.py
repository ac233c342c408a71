"""Factors between units, each against a statement made elsewhere: the calendar, CODATA, or a dose by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline import units


def test_times_are_those_of_the_calendar() -> None:
    assert timedelta(minutes=1).total_seconds() == units.SECONDS_PER_MINUTE
    assert timedelta(hours=1).total_seconds() == units.SECONDS_PER_HOUR
    assert timedelta(days=1).total_seconds() == units.SECONDS_PER_DAY
    assert timedelta(milliseconds=units.MS_PER_SECOND) == timedelta(seconds=1)


def test_a_cycle_of_7400_mbq_is_7_4_gbq() -> None:
    assert 7400.0 * units.BQ_PER_MBQ == 7.4e9
    assert 7.4 * units.BQ_PER_GBQ == 7.4e9


def test_a_cube_of_one_centimetre_is_one_millilitre() -> None:
    assert units.MM_PER_CM == 10.0
    assert units.MM_PER_CM**3 == units.MM3_PER_ML


def test_prefixes() -> None:
    # SI Brochure, 9th ed., table 7: milli 1e-3, kilo 1e3, mega 1e6, giga 1e9.
    assert units.G_PER_KG == 1e3
    assert units.MGY_PER_GY == 1e3
    assert units.KEV_PER_MEV == 1e6 / 1e3
    assert units.PERCENT == 100.0


def test_energy_of_one_mev() -> None:
    # CODATA 2018: 1 eV = 1.602176634e-19 J exactly.
    assert units.J_PER_EV == 1.602176634e-19
    assert pytest.approx(1.602176634e-13, rel=1e-15) == units.J_PER_MEV


def test_absorbed_dose_of_one_gigabecquerel_second_per_gram() -> None:
    # 0.1479 MeV per decay (electrons of Lu-177) absorbed in 1 g, 1e9 decays: 0.1479 x 1.602e-13 J x 1e9 / 1e-3 kg.
    assert pytest.approx(0.1479 * 1.602176634e-13 * 1e9 / 1e-3, rel=1e-14) == 0.1479 * 1e9 * units.GY_G_PER_MEV


def test_published_s_values() -> None:
    # S values are printed in mGy/(MBq s): 1 Gy/(Bq s) = 1000 mGy / 1e-6 MBq s = 1e9 mGy/(MBq s).
    assert units.MGY_PER_MBQ_S_PER_GY_PER_BQ_S == 1e9
    assert pytest.approx(1e-9, rel=1e-15) == units.GY_PER_BQ_S_PER_MGY_PER_MBQ_S
