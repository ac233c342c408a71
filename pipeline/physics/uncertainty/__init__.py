"""Uncertainty of activities and doses: budgets, and their propagation by simulation."""
