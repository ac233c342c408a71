"""The inbox as a deployment of a real Prefect server: server, serving process and the run in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.prefect]

PATIENCE_S = 300.0
DEPLOYMENT = "prrt-inbox/inbox"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not ready():
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < until_s, log.read_text(errors="replace")
        time.sleep(0.2)


def _api(url: str, path: str) -> dict[str, str] | None:
    try:
        with urllib.request.urlopen(f"{url}{path}", timeout=5) as answer:
            return dict(json.load(answer)) if path != "/health" else {}
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def test_a_run_of_the_deployment_is_a_pass_over_the_inbox(
    example: Path, inbox: Path, form_only: Callable[..., Path], tmp_path: Path
) -> None:
    """One study without images waits: the run completes and what it found is kept."""
    form_only("study-1")
    url = f"http://127.0.0.1:{_free_port()}/api"
    environment = os.environ | {"PREFECT_HOME": str(tmp_path / "prefect"), "PREFECT_API_URL": url}
    prefect = [sys.executable, "-m", "prefect"]
    server = [
        *prefect,
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        url.rsplit(":", 1)[1].split("/", maxsplit=1)[0],
        "--no-ui",
    ]
    out, records = tmp_path / "out", f"sqlite:///{tmp_path / 'records.db'}"
    serve = [sys.executable, "-m", "flows.serve", str(inbox), "--site", str(example / "site.toml")]
    serve += ["--records", records, "--out", str(out)]
    with _running(server, tmp_path / "server.log", environment) as serving:
        _until(lambda: _api(url, "/health") is not None, serving, tmp_path / "server.log")
        with _running(serve, tmp_path / "serve.log", environment) as deployed:
            _until(lambda: _api(url, f"/deployments/name/{DEPLOYMENT}") is not None, deployed, tmp_path / "serve.log")
            run = subprocess.run(
                [*prefect, "deployment", "run", DEPLOYMENT, "--watch", "--watch-timeout", str(int(PATIENCE_S))],
                env=environment, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False,
            )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr + (tmp_path / "serve.log").read_text(errors="replace")
    assert "finished successfully" in run.stdout + run.stderr
    states = [json.loads(path.read_text(encoding="utf-8")) for path in (out / ".inbox" / "state").iterdir()]
    assert [state["state"] for state in states] == ["waiting"]
