"""`prrt uncertainty` on a filed record: both ways side by side, sums against limits, and what cannot be simulated."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime

import pytest
from filed_patient import SETTINGS, cycle_document, file_cycles, region
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import RefusalError
from pipeline.physics.uncertainty.simulation import ReusedHalfLife
from pipeline.records.store import RecordStore
from pipeline.settings import site_from_document
from pipeline.steps.uncertainty import simulate_uncertainty
from pipeline.steps.uncertainty_parts import region_parts

ON = date(2026, 12, 1)


def test_regions_and_sums_agree_with_the_filed_budgets(store: RecordStore) -> None:
    """Three cycles: every row within two Monte Carlo errors and 4 u2; kidneys within 3 % at that."""
    file_cycles(store, (4.0, 4.5, 5.0))
    found = simulate_uncertainty(store, "phantom-1", on=ON, draws=20_000, seed=3)
    assert found["verdict"]["agrees"], found["verdict"]
    kidneys = [row for row in found["regions"] if row["region"].startswith("kidney")]
    assert len(kidneys) == 6
    assert max(abs(row["sigma_difference"]) for row in kidneys) < 0.03
    assert found["drafts"] == [1, 2, 3]


def test_cumulative_kidney_dose_and_the_chance_to_exceed_the_limit(store: RecordStore) -> None:
    """Mass-weighted 150 : 160 g and the rule's sum; with the next cycle as the last; P by both ways within 1.5 %."""
    file_cycles(store, (7.5, 7.6, 7.7))
    found = simulate_uncertainty(store, "phantom-1", on=ON, draws=20_000, seed=3)
    now, after = found["cumulative"]["kidney"]["sums"]
    mean = (150.0 + 0.9 * 160.0) / 310.0
    assert now["dose_gy"] == pytest.approx(22.8 * mean, rel=1e-9)
    assert after["dose_gy"] == pytest.approx((22.8 + 7.7) * mean, rel=1e-9)
    assert now["simulated"]["mean_gy"] == pytest.approx(now["dose_gy"], rel=0.005)
    assert 0.01 < now["analytic"]["p_exceed"] < 0.1
    assert after["analytic"]["p_exceed"] > 0.95
    for row in (now, after):
        assert row["simulated"]["p_exceed"] == pytest.approx(row["analytic"]["p_exceed"], abs=0.015)


def test_common_parts_of_the_sum_add_linearly(store: RecordStore) -> None:
    """From one to four equal cycles sigma grows as hypot(4 c, 2 i) / hypot(c, i) of the filed parts; 3 %."""
    file_cycles(store, (4.0, 4.0, 4.0, 4.0))
    found = simulate_uncertainty(store, "phantom-1", on=ON, draws=20_000, seed=3)
    now = found["cumulative"]["kidney"]["sums"][0]
    sides = [r["uncertainty"] | {"m": r["mass_g"]} for r in cycle_document(1, 4.0)["regions"][:2]]
    weights = [side["m"] / sum(s["m"] for s in sides) for side in sides]
    common = sum(w * side["correlated_gy"] for w, side in zip(weights, sides, strict=True))
    own = math.hypot(*(w * side["independent_gy"] for w, side in zip(weights, sides, strict=True)))
    assert now["simulated"]["sigma_gy"] == pytest.approx(math.hypot(4.0 * common, 2.0 * own), rel=0.03)


def test_one_cycle_is_listed_and_the_sums_go_over_all(store: RecordStore) -> None:
    file_cycles(store, (4.0, 5.0))
    both = simulate_uncertainty(store, "phantom-1", on=ON, draws=1000, seed=3)
    second = simulate_uncertainty(store, "phantom-1", on=ON, draws=1000, seed=3, cycle=2)
    assert {row["cycle"] for row in second["regions"]} == {2}
    assert second["regions"] == [row for row in both["regions"] if row["cycle"] == 2]
    assert second["cumulative"] == both["cumulative"]
    with pytest.raises(RefusalError) as caught:
        simulate_uncertainty(store, "phantom-1", on=ON, draws=1000, seed=3, cycle=3)
    assert caught.value.code == "CYCLE_UNKNOWN"


def test_a_kidney_without_a_budget_is_named_and_its_sum_drawn_from_its_sigma(store: RecordStore) -> None:
    document = cycle_document(1, 4.0)
    document["regions"][0]["uncertainty"] = None
    store.file_cycle(
        document=document,
        idempotency_key="k",
        settings=SETTINGS,
        created_at="2026-02-20T09:00:00+00:00",
    )
    found = simulate_uncertainty(store, "phantom-1", on=ON, draws=20_000, seed=3)
    assert [(item["region"], item["why"]) for item in found["not_simulated"]] == [
        ("kidney_left", "no uncertainty budget filed")
    ]
    now = found["cumulative"]["kidney"]["sums"][0]
    assert now["simulated"]["sigma_gy"] == pytest.approx(now["analytic"]["sigma_gy"], rel=0.02)


def test_another_model_is_drawn_as_filed(store: RecordStore) -> None:
    """Two exponentials are not refitted: the filed 10 % comes back as 10 %, 2 % of it."""
    document = cycle_document(1, 4.0)
    other = region("spleen", 3.0, 200.0)
    other["curve"] |= {
        "model": "bi",
        "parameters": other["curve"]["parameters"] | {"amplitude_2_bq": 1.0, "rate_2_per_s": 1.0},
    }
    other["uncertainty"]["fit"] = 0.10
    document["regions"].append(other)
    store.file_cycle(
        document=document,
        idempotency_key="k",
        settings=SETTINGS,
        created_at="2026-02-20T09:00:00+00:00",
    )
    found = simulate_uncertainty(store, "phantom-1", on=ON, draws=20_000, seed=3)
    spleen = next(row for row in found["regions"] if row["region"] == "spleen")
    assert spleen["parts"]["fit"]["simulated"] == pytest.approx(0.10, rel=0.02)


def test_a_cycle_given_elsewhere_is_drawn_from_its_imputed_sigma(store: RecordStore) -> None:
    """Cycle 2 given elsewhere, 3.6 +- 0.9 Gy imputed and independent: in quadrature with the filed cycle; 3 %."""
    file_cycles(store, (4.0,))
    alone = simulate_uncertainty(store, "phantom-1", on=ON, draws=20_000, seed=3)["cumulative"]["kidney"]["sums"][0]
    given = {"cycle": 2, "given_on": "2026-05-02", "activity_gbq": 7.4}
    imputed = {"cycle": 2, "kidney_gy": 3.6, "kidney_sigma_gy": 0.9}
    event = {
        "date": "2026-05-03",
        "by": "A. Physicist",
        "reason": "elsewhere",
        "given_cycles": [given],
        "imputed": [imputed],
    }
    store.add_event("phantom-1", event, at=datetime(2026, 5, 3, 9, 0, tzinfo=UTC))
    both = simulate_uncertainty(store, "phantom-1", on=ON, draws=20_000, seed=3)["cumulative"]["kidney"]
    assert both["cycles"] == 2
    now = both["sums"][0]
    assert now["dose_gy"] == pytest.approx(alone["dose_gy"] + 3.6, rel=1e-9)
    expected = math.hypot(alone["simulated"]["sigma_gy"], 0.9)
    assert now["simulated"]["sigma_gy"] == pytest.approx(expected, rel=0.03)
    assert now["verdict"] == "agrees"


@pytest.mark.parametrize("model", ["single-patient", "single-madsen-2018", "hierarchical"])
def test_a_cycle_of_one_scan_draws_the_half_life_it_reused(store: RecordStore, model: str) -> None:
    """24.25 h, 51 h +- 20 %, 4 % noise: (t ln2/T - 1) 0.2 and 0.04 in quadrature; 5 % of it and 4 u2."""
    document = cycle_document(1, 4.0)
    document["time_points"] = document["time_points"][:1]
    for one in document["regions"]:
        one["activity"] = one["activity"][:1]
        if one["curve"]:
            one["curve"] |= {"model": model, "fit_points": 1, "effective_half_life_sigma_s": 0.2 * 51.0 * 3600.0}
    store.file_cycle(document=document, idempotency_key="k", settings=SETTINGS, created_at="2026-02-20T09:00:00+00:00")
    found = simulate_uncertainty(store, "phantom-1", on=ON, draws=20_000, seed=3)
    expected = math.hypot((24.25 * math.log(2.0) / 51.0 - 1.0) * 0.2, 0.04)
    kidney = next(row for row in found["regions"] if row["region"] == "kidney_left")
    assert kidney["parts"]["fit"]["simulated"] == pytest.approx(expected, rel=0.05 + 4.0 * expected**2)
    # the filed budget still holds the 3 % of three scans: that must not pass as agreement
    assert kidney["verdict"] == "analytic is narrower"


@pytest.mark.parametrize(("fit_shared", "share"), [(0.06, 0.5), (None, 0.0)])
def test_the_simulation_shares_what_the_filed_budget_shares(fit_shared: float | None, share: float) -> None:
    """fit 0.10 of which 0.72 of the variance is the half-life's, 0.06 shared: (0.06/0.10)^2/0.72 = 0.5."""
    document = cycle_document(1, 4.0)
    document["time_points"] = document["time_points"][:1]
    left = next(one for one in document["regions"] if one["laterality"] == "left")
    left["activity"] = left["activity"][:1]
    left["curve"] |= {"model": "hierarchical", "fit_points": 1, "assumed_fraction": 0.72}
    left["uncertainty"] |= {"fit": 0.10} | ({} if fit_shared is None else {"fit_shared": fit_shared})
    fit = region_parts(document, left, site_from_document(SETTINGS), 1).fit
    assert isinstance(fit, ReusedHalfLife)
    assert fit.shared_fraction == pytest.approx(share, rel=1e-9)


def test_the_command_prints_both_ways_and_json(store: RecordStore, url: str) -> None:
    file_cycles(store, (4.0,))
    runner = CliRunner(env={"COLUMNS": "80"})
    shown = runner.invoke(
        app, ["uncertainty", "phantom-1", "--records", url, "--simulate", "2000", "--on", "2026-12-01"]
    )
    assert shown.exit_code == 0, shown.output
    assert "analytic and simulated sigma agree" in shown.stdout
    # the tables are whole on a narrow terminal
    assert "…" not in shown.stdout
    assert max(len(line.rstrip()) for line in shown.stdout.splitlines()) <= 80
    as_json = runner.invoke(
        app, ["uncertainty", "phantom-1", "--records", url, "--simulate", "2000", "--on", "2026-12-01", "--json"]
    )
    document = json.loads(as_json.stdout)
    assert (document["draws"], document["seed"], len(document["regions"])) == (2000, 1, 4)
