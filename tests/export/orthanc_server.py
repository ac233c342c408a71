"""An Orthanc of our own that nobody else can reach.

Debian's Orthanc 1.10 listens on every address, whatever its configuration says, so it runs in a network namespace that
has only a loopback; calls go through the pipes of the process that started it there.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMESPACE = ["unshare", "--map-root-user", "--net"]


def namespaces_work() -> bool:
    """Tell whether this kernel lets us make a network namespace."""
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


class Orthanc:
    """A running Orthanc, called through the pipes of its namespace."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def _ask(self, question: dict[str, Any]) -> dict[str, str]:
        if self.process.stdin is None or self.process.stdout is None:
            msg = "no pipes to the namespace"
            raise RuntimeError(msg)
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            msg = "the process in the namespace ended; its error is above"
            raise RuntimeError(msg)
        answer: dict[str, str] = json.loads(line)
        return answer

    def call(self, path: str, content: bytes | None = None) -> bytes:
        """GET ``path``, or POST ``content`` to it."""
        sent = base64.b64encode(content).decode() if content else None
        return base64.b64decode(self._ask({"path": path, "content": sent})["content"])

    def json(self, path: str, content: bytes | None = None) -> Any:
        """Return the JSON that a call answers."""
        return json.loads(self.call(path, content))

    def store(self, paths: list[Path]) -> str:
        """Send files by C-STORE; return what went wrong, empty where nothing did."""
        answer = self._ask({"store": [str(path) for path in paths]})
        return answer["failed"] and base64.b64decode(answer["content"]).decode()


@contextmanager
def running(folder: Path) -> Iterator[Orthanc]:
    """Start an Orthanc with its storage in ``folder``; it ends when its pipe closes."""
    script = Path(__file__).with_name("orthanc_in_namespace.py")
    command = [*NAMESPACE, sys.executable, str(script), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Orthanc(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(timeout=60)
