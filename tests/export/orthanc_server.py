"""An Orthanc of our own: its storage in a temporary folder, its ports on loopback only."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Orthanc:
    """REST client of a running Orthanc."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"

    def call(self, path: str, content: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.root + path, data=content, method="POST" if content else "GET")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())

    def json(self, path: str, content: bytes | None = None) -> Any:
        return json.loads(self.call(path, content))


def configuration(folder: Path, http_port: int, dicom_port: int | None) -> dict[str, Any]:
    """Return a configuration; without ``dicom_port`` no DICOM port is opened at all.

    Orthanc 1.10 can bind HTTP to an address, and DICOM to all addresses only.
    """
    return {
        "Name": "test", "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "storage"),
        "HttpPort": http_port, "HttpBindAddresses": ["127.0.0.1"], "RemoteAccessAllowed": False, "Plugins": [],
        "DicomServerEnabled": dicom_port is not None, "DicomPort": dicom_port or 4242, "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": False, "DicomAlwaysAllowEcho": True, "DicomAlwaysAllowStore": True,
    }  # fmt: skip


@contextmanager
def running(folder: Path, *, dicom_port: int | None = None) -> Iterator[Orthanc]:
    """Start an Orthanc, wait until it answers, and end it by its own id."""
    port = free_port()
    settings = folder / "orthanc.json"
    settings.write_text(json.dumps(configuration(folder, port, dicom_port)))
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen(["Orthanc", str(settings)], stdout=log, stderr=subprocess.STDOUT)
        try:
            server = Orthanc(port)
            _wait(server, process, folder)
            yield server
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait(server: Orthanc, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.json("/system")
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return
    msg = f"Orthanc did not start: {(folder / 'orthanc.log').read_text()[-2000:]}"
    raise RuntimeError(msg)
