"""The cycle as a Prefect flow: one coarse task per step and time point, keyed by content, so that a run can resume."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.environment import prepare_environment

prepare_environment()

from prefect import flow, task  # noqa: E402 (Prefect reads its environment when imported)
from prefect.cache_policies import CacheKeyFnPolicy  # noqa: E402
from prefect.settings import PREFECT_RESULTS_LOCAL_STORAGE_PATH, temporary_settings  # noqa: E402

from flows.orphans import end_orphaned_servers  # noqa: E402
from flows.refusal_log import refusals_told_once  # noqa: E402
from flows.walk import walk  # noqa: E402
from pipeline.domain.provenance import content_hash  # noqa: E402
from pipeline.errors import PrrtError  # noqa: E402
from pipeline.steps.outputs import exclusive  # noqa: E402
from pipeline.steps.run_step import run_step  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.context import TaskRunContext

Document = dict[str, Any]

# These touch the record or the output folder: they are idempotent by themselves and must see today's record.
NEVER_CACHED = frozenset({"file", "report"})
# Transient trouble (a file share that hiccups) is worth a second try; a refusal is not.
RETRIES = 2
RETRY_DELAY_S = 2


def step_key(step: str, payload: Document) -> str:
    """Return the content key of one step: its name, its inputs and the code version inside them."""
    return f"{step}-{content_hash({'step': step, 'payload': payload})}"


def _key_from_parameters(_context: TaskRunContext, parameters: Document) -> str:
    return step_key(parameters["step"], parameters["payload"])


def _worth_retrying(_task: object, _run: object, state: Any) -> bool:
    try:
        state.result()
    except PrrtError:
        return False
    except OSError:
        return True
    except BaseException:  # noqa: BLE001 (only tells Prefect not to retry; the error itself still ends the run)
        return False
    return False


@task(
    name="step",
    task_run_name="{step}",
    cache_policy=CacheKeyFnPolicy(cache_key_fn=_key_from_parameters),
    persist_result=True,
    result_serializer="json",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_S,
    retry_condition_fn=_worth_retrying,
)
def keyed_step(step: str, payload: Document, work: str) -> Document:
    """Run one step; its result is kept under the hash of its inputs."""
    return run_step(step, payload, Path(work))


@task(name="step-uncached", task_run_name="{step}", persist_result=False)
def plain_step(step: str, payload: Document, work: str) -> Document:
    """Run one step that must see the record as it is now."""
    return run_step(step, payload, Path(work))


@flow(name="prrt-cycle", persist_result=False, validate_parameters=False)
def cycle_flow(request: Document, records: str, out: str, announce: Callable[[str, int], None]) -> Document:
    """Process one cycle; see :func:`flows.walk.walk`."""
    work = str(work_folder(out))

    def execute(step: str, payload: Document) -> Document:
        chosen = plain_step if step in NEVER_CACHED else keyed_step
        result: Document = chosen(step, payload, work)
        return result

    return walk(request, records, out, execute, announce)


def work_folder(out: str) -> Path:
    """Return where a run keeps its keyed results and arrays; may be deleted once the run is done."""
    return Path(out).resolve() / ".work"


def run_cycle(request: Document, *, records: str, out: Path, announce: Callable[[str, int], None]) -> Document:
    """Run the flow; results are kept under ``<out>/.work``, so that the same call resumes after an interruption."""
    end_orphaned_servers(os.environ["PREFECT_HOME"])
    work = work_folder(str(out))
    results = {PREFECT_RESULTS_LOCAL_STORAGE_PATH: str(work / "results")}
    with exclusive(work), temporary_settings(results), refusals_told_once():
        filed: Document = cycle_flow(request, records, str(out.resolve()), announce)
        return filed
