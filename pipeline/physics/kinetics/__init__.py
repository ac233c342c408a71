"""Time-activity curves of regions: fits, areas, intervals, and what a few scans can tell."""

from pipeline.physics.kinetics.curve_fit import fit_curve

__all__ = ["fit_curve"]
