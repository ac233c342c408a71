"""What taking the bias off the area of several exponentials costs and brings, by the largest correction allowed.

Run: ``python benchmarks/bench_fit_bias.py --curves 400`` (some five minutes of one core).

Curves are those of ``bench_coverage.py``. Every curve is fitted once with no limit of the correction; the limits are
applied to that. One line of a Markdown table per limit: bias in standard deviations, and root mean square error.
"""

from __future__ import annotations

import argparse

import numpy as np
from bench_coverage import EIGHT, LU, SEED, TEN, exact, noisy, washout

from pipeline.domain.kinetics import TiaEstimate, TimeActivityCurve
from pipeline.physics.kinetics import curve_fit, fit_bias

LIMITS = (0.0, 0.25, 0.5, 0.75, 1.0, np.inf)
# Model, phases that are really there, times, relative noise.
CASES = (
    ("bi", 2, EIGHT, 0.05),
    ("bi", 2, EIGHT, 0.10),
    ("bi", 1, EIGHT, 0.10),
    ("tri", 3, TEN, 0.05),
    ("tri", 3, TEN, 0.10),
)


def reduced_chi_squared(curve: TimeActivityCurve, estimate: TiaEstimate, noise: float) -> float:
    """Return chi-squared per degree of freedom of a fit with relative errors."""
    values = list(estimate.parameters.values())
    fitted = np.exp(-np.outer(curve.time_s, values[1::2])) @ np.array(values[0::2])
    residual = (curve.activity_bq / fitted - 1.0) / noise
    return float(residual @ residual) / (curve.time_s.size - len(values))


def errors(model: str, phases: int, times_h: tuple[float, ...], noise: float, curves: int) -> np.ndarray:
    """Return found/true - 1 for every limit, shape (limit, curve)."""
    rng, found = np.random.default_rng(SEED), []
    for _ in range(curves):
        parts = washout(rng, phases)
        curve = noisy(rng, times_h, parts, noise)
        estimate = curve_fit.fit_curve(curve, LU, model=model, relative_error=noise)  # type: ignore[arg-type]
        scatter = min(reduced_chi_squared(curve, estimate, noise), 1.0)
        area, allowed = estimate.tia_bq_s + estimate.bias_correction_bq_s, estimate.tia_sigma_bq_s * scatter
        taken = [min(estimate.bias_correction_bq_s, limit * allowed) for limit in LIMITS]
        found.append((area - np.array(taken)) / exact(parts) - 1.0)
    return np.array(found).T


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=400)
    given = parser.parse_args()
    fit_bias.LARGEST_SIGMAS = float("inf")
    print("| model, phases, noise | " + " | ".join(f"{limit:g} sigma" for limit in LIMITS) + " |")
    print("|---" * (len(LIMITS) + 1) + "|")
    for model, phases, times_h, noise in CASES:
        found = errors(model, phases, times_h, noise, given.curves)
        cells = [f"{e.mean() / e.std():+.2f} / {100 * np.sqrt(np.mean(e**2)):.1f} %" for e in found]
        print(f"| {model}, {phases}, {noise:.0%} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
