"""Prefect's embedded server outlives a killed run; end what earlier runs of ours left behind (Linux only)."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

SERVER_MODULE = "prefect.server.api.server"
INIT_PID = 1


def end_orphaned_servers(home: str) -> list[int]:
    """End embedded servers of this ``PREFECT_HOME`` whose run is gone; return their process ids.

    A server whose parent lives belongs to a run that is going on and is left alone, as is one that a site started by
    itself: that one runs under another home or from a shell that lives.
    """
    proc = Path("/proc")
    if not proc.is_dir():
        return []
    ended = []
    for folder in proc.iterdir():
        if folder.name.isdigit() and _is_orphaned_server(folder, home):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(folder.name), signal.SIGTERM)
                ended.append(int(folder.name))
    return ended


def _is_orphaned_server(folder: Path, home: str) -> bool:
    try:
        command = (folder / "cmdline").read_bytes().decode(errors="replace")
        if SERVER_MODULE not in command:
            return False
        environment = (folder / "environ").read_bytes().split(b"\0")
        stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    # The name in parentheses may hold blanks: the parent's id is the second field after it.
    parent = int(stat.rsplit(")", 1)[1].split()[1])
    return parent == INIT_PID and f"PREFECT_HOME={home}".encode() in environment
