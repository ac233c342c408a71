"""The torso that most imaging tests share."""

from __future__ import annotations

import pytest
from torso_images import centred_grid, draw_torso


@pytest.fixture(scope="session")
def torso_grid():
    return centred_grid((60, 80, 96), (5.0, 4.5, 4.5))


@pytest.fixture(scope="session")
def torso(torso_grid):
    return draw_torso(torso_grid)
