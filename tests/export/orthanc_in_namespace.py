"""Run inside a network namespace of its own: an Orthanc, and a line of JSON in and out for each call to it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

HTTP_PORT, DICOM_PORT = 8042, 4242
START_S = 60.0


def main(folder: Path) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    settings = folder / "orthanc.json"
    settings.write_text(json.dumps(configuration(folder)))
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen(["Orthanc", str(settings)], stdout=log, stderr=subprocess.STDOUT)
        try:
            wait(process, folder)
            for line in sys.stdin:
                sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
                sys.stdout.flush()
        finally:
            process.terminate()
            process.wait(timeout=30)


def configuration(folder: Path) -> dict[str, Any]:
    return {
        "Name": "test", "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "storage"),
        "HttpPort": HTTP_PORT, "RemoteAccessAllowed": False, "Plugins": [], "DicomPort": DICOM_PORT,
        "DicomAet": "ORTHANC", "DicomCheckCalledAet": False, "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
    }  # fmt: skip


def wait(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            rest("/system", None)
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return
    msg = f"Orthanc did not start: {(folder / 'orthanc.log').read_text()[-2000:]}"
    raise RuntimeError(msg)


def answer(call: dict[str, Any]) -> dict[str, str]:
    """Make a REST call, or send files by C-STORE."""
    if files := call.get("store"):
        # -R proposes only the classes of the files; any status but success ends storescu with an error.
        command = ["storescu", "-R", "-aec", "ORTHANC", "127.0.0.1", str(DICOM_PORT), *files]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return {"content": base64.b64encode(done.stderr.encode()).decode(), "failed": str(done.returncode or "")}
    content = base64.b64decode(call["content"]) if call["content"] else None
    return {"content": base64.b64encode(rest(call["path"], content)).decode()}


def rest(path: str, content: bytes | None) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{HTTP_PORT}{path}", data=content)
    with urllib.request.urlopen(request, timeout=30) as response:
        return bytes(response.read())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
