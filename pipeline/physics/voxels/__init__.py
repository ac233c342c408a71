"""Curves of voxels: fits, sharing of half-lives, maps."""
