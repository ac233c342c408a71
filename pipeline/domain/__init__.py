"""Frozen types of the field, validated when made; no input or output."""
