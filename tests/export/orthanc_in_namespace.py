"""Run inside a network namespace of its own: an Orthanc that takes the files by C-STORE; prints what it then holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from orthanc_server import Orthanc, running

DICOM_PORT = "4242"


def main(folder: Path, files: list[str]) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with running(folder, dicom_port=int(DICOM_PORT)) as server:
        # -R proposes only the classes of the files; any status but success ends storescu with an error.
        subprocess.run(["storescu", "-R", "-aec", "ORTHANC", "127.0.0.1", DICOM_PORT, *files], check=True)
        print(json.dumps(held(server)))


def held(server: Orthanc) -> dict[str, str]:
    """Return modality by SOP Instance UID."""
    found = {}
    for key in server.json("/instances"):
        tags = server.json(f"/instances/{key}/simplified-tags")
        found[tags["SOPInstanceUID"]] = tags["Modality"]
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
