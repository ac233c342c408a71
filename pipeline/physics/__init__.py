"""Dosimetry on domain types; pure: no files, clock, network or environment."""
