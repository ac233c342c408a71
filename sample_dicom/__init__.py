"""Phantoms written as real DICOM, with their truth."""
