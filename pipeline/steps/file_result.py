"""File one cycle's result document; the decision it contains is made from the record it is filed into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.steps.decide import preview_decision

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pipeline.records.store import RecordStore


def file_result(
    store: RecordStore,
    document: Mapping[str, Any],
    idempotency_key: str,
    settings: Mapping[str, Any],
    created_at: datetime | str,
) -> dict[str, Any]:
    """File a result; the key of the cycle's newest version again changes nothing.

    The key of an older version files again, as a new version in force: see
    :meth:`pipeline.records.store.RecordStore.file_cycle`.

    Parameters
    ----------
    document : dict
        The result document; where ``decision`` is missing or None, the preview of the next decision is put in.
    idempotency_key : str
        Hash of inputs, settings and code version.
    settings : dict
        The site profile document.
    created_at : datetime or str
        Aware.

    Returns
    -------
    dict
        ``patient_key``, ``cycle``, ``version``, ``created``, ``result_hash`` and ``result``: the document as it is
        filed (the earlier one where nothing was changed).
    """
    patient_key, cycle = str(document["patient_key"]), int(document["cycle"])
    filed, created = store.find_filed(patient_key, cycle, idempotency_key), False
    if filed is None:
        moment = created_at if isinstance(created_at, str) else created_at.isoformat()
        complete = dict(document)
        if complete.get("decision") is None:
            complete["decision"] = preview_decision(store, document, settings)
        done = store.file_cycle(
            document=complete, idempotency_key=idempotency_key, settings=settings, created_at=moment
        )
        # Read back: another process may have filed the same key in between, and then its document counts.
        filed, created = store.version(patient_key, cycle, done.version), done.created
    return {
        "patient_key": patient_key,
        "cycle": cycle,
        "version": filed.version,
        "created": created,
        "result_hash": filed.result_hash,
        "result": filed.document,
    }
