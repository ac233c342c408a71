"""The curves of one region: many points, one point with a named prior, or all cycles of a patient together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import require
from pipeline.files.half_life_table import population_prior, prior_file, region_key
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.physics.kinetics.hierarchical_fit import fit_cycles
from pipeline.physics.kinetics.single_scan import fit_single_scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.domain.kinetics import HeadRule, ModelName, TailRule, TiaEstimate, TimeActivityCurve
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.kinetics.hierarchical_fit import HierarchicalFit
    from pipeline.physics.kinetics.single_scan import HalfLifePrior, SingleForm

# Clinical specification 3.3: without sigmas, 5 % of the fitted activity. Project choice, stated in the output.
RELATIVE_ERROR = 0.05
NAMED_PRIORS = ("population", "haenscheid", "madsen")


class Prior:
    """What ``--prior`` names, looked up per region."""

    def __init__(self, name: str | None, nuclide: str) -> None:
        self.name = name
        self.nuclide = nuclide
        self.table = prior_file(Path(name)) if name and name not in NAMED_PRIORS else None

    def of(self, region: str) -> HalfLifePrior | None:
        """Return the prior of a region; None where none was named."""
        if self.name is None:
            return None
        if self.table is None:
            return population_prior(self.nuclide, region)
        require(
            region_key(region) in self.table,
            "PRIOR_FILE_INVALID",
            found=f"no half-life of {region}",
            needed="a row for every region with one point",
            do="add the region to the file of half-lives",
            where=str(self.name),
        )
        return self.table[region_key(region)]

    @property
    def form(self) -> SingleForm:
        """How a single point is integrated."""
        return "madsen" if self.name == "madsen" else "haenscheid" if self.name == "haenscheid" else "prior"


@dataclass(frozen=True)
class FitFileRequest:
    """How every region of a file is fitted."""

    nuclide: Radionuclide
    model: ModelName
    head: HeadRule
    tail: TailRule
    prior: Prior


def fit_region(
    region: str, curves: Sequence[TimeActivityCurve], request: FitFileRequest, *, cycles: bool
) -> tuple[tuple[TiaEstimate, ...], dict[str, float | str]]:
    """Fit one region's curve, or its curves of all cycles together.

    Parameters
    ----------
    region : str
    curves : sequence of TimeActivityCurve
        One, or one per cycle.
    request : FitFileRequest
    cycles : bool
        The curves are cycles of one patient.

    Returns
    -------
    tuple of TiaEstimate
        One per curve.
    dict
        What the cycles have in common; empty without cycles.

    Raises
    ------
    RefusalError
        ``PRIOR_FILE_INVALID``, ``POPULATION_UNKNOWN``, ``CYCLES_MODEL_INVALID``, and those of the fits.
    """
    if not cycles:
        return (_fit_one(region, curves[0], request),), {}
    prior = request.prior.of(region)
    fit = _fit_cycles(curves, request, prior)
    return fit.cycles, {
        "half_life_source": "all cycles of this region together" + (f", about {prior.source}" if prior else ""),
        "patient_half_life_s": fit.half_life_s,
        "patient_half_life_sigma_s": fit.half_life_sigma_s,
        "between_cycles_log_sigma": fit.between_cycles_log_sigma,
    }


def _fit_one(region: str, curve: TimeActivityCurve, request: FitFileRequest) -> TiaEstimate:
    prior = request.prior.of(region) if curve.time_s.size == 1 else None
    if prior is None:
        return fit_curve(
            curve,
            request.nuclide,
            model=request.model,
            head_rule=request.head,
            tail_rule=request.tail,
            relative_error=RELATIVE_ERROR,
        )
    return fit_single_scan(
        curve,
        request.nuclide,
        prior,
        form=request.prior.form,
        head_rule=request.head,
        tail_rule=request.tail,
        relative_error=RELATIVE_ERROR,
    )


def _fit_cycles(
    curves: Sequence[TimeActivityCurve], request: FitFileRequest, prior: HalfLifePrior | None
) -> HierarchicalFit:
    require(
        request.model in ("auto", "mono") and request.prior.form == "prior",
        "CYCLES_MODEL_INVALID",
        found=f"model {request.model}, prior {request.prior.name}",
        needed="model auto or mono, prior population, a file, or none: cycles share one exponential's half-life",
        do="leave the column cycle away, or choose these",
        where="cycle",
    )
    return fit_cycles(
        curves,
        request.nuclide,
        population=prior,
        head_rule=request.head,
        tail_rule=request.tail,
        relative_error=RELATIVE_ERROR,
    )
