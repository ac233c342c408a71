"""Resampling, registration and segmentation; SimpleITK is spoken only here."""
