"""Prefect's environment: embedded, offline, silent. Must be set before Prefect is imported."""

from __future__ import annotations

import os
from pathlib import Path

# The first start migrates a database and takes about 13 s on two cores; Prefect's own limit of 20 s is too near.
STARTUP_TIMEOUT_S = 120


def prepare_environment() -> None:
    """Set what is not already set by the site: embedded server, no telemetry, quiet logs.

    A site that runs a Prefect server sets ``PREFECT_API_URL`` and keeps it: nothing here overrides the environment.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    defaults = {
        "PREFECT_HOME": str(cache / "prrt-dosimetry" / "prefect"),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(STARTUP_TIMEOUT_S),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    # Prefect makes this folder itself, but not the folders above it.
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
