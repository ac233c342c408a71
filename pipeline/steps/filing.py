"""File a cycle's result: assemble it, check it against its schema, append it to the patient's record."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.files.forms import load_cycle_form
from pipeline.files.schema import validate_result
from pipeline.records.store import open_store
from pipeline.steps.assemble import assemble, idempotency_key, in_order
from pipeline.steps.decide import preview_decision
from pipeline.steps.file_result import file_result
from pipeline.steps.plausibility import key_of, trend_flags

if TYPE_CHECKING:
    from pipeline.records.record import PatientRecord
    from pipeline.settings import SiteProfile

Document = dict[str, Any]


def file_cycle(payload: Document, site: SiteProfile) -> Document:
    """File the result and return it as it is filed.

    The same inputs, settings and code file once: a repeated run returns what was filed before. Where another version
    has come into force since, the run files again, so that what was processed last is what counts.

    Returns
    -------
    dict
        As :func:`pipeline.steps.file_result.file_result`.
    """
    now = datetime.now(UTC)
    form = load_cycle_form(Path(payload["cycle_form"]))
    document = assemble(payload, site, form, now.isoformat(timespec="seconds"))
    with open_store(payload["records"]) as store:
        document = with_trends(document, store.find(document["patient_key"]))
        complete = document | {"decision": preview_decision(store, document, site.document)}
        validate_result(complete)
        return file_result(store, complete, idempotency_key(payload), site.document, now)


def with_trends(document: Document, record: PatientRecord | None) -> Document:
    """Return the document with the flags of its lesions against the same ones in the cycle before, as filed.

    Parameters
    ----------
    document : dict
        A result document without its decision.
    record : PatientRecord or None
        What is filed of the patient; None before the first cycle.
    """
    versions = record.latest_versions if record else ()
    before = next((v.document for v in versions if v.cycle == document["cycle"] - 1), None)
    flags = trend_flags(document, before) if before else ()
    if not flags:
        return document
    codes = {flag.region: flag.code for flag in flags}
    regions = [
        region | {"flags": sorted({*region["flags"], codes[key_of(region)]})} if key_of(region) in codes else region
        for region in document["regions"]
    ]
    return document | {"regions": regions, "flags": in_order([*document["flags"], *(vars(flag) for flag in flags)])}
