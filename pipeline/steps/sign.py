"""A person answers for a filed cycle: the physicist for the doses, the physician for the decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.records.store import RecordStore


def sign_cycle(
    store: RecordStore,
    patient_key: str,
    *,
    cycle: int,
    role: str,
    by: str,
    reason: str = "",
    at: datetime,
    version: int | None = None,
) -> dict[str, Any]:
    """Sign the newest version of a cycle; signing it again changes nothing and returns the standing signature.

    Parameters
    ----------
    version : int or None
        The version that was reviewed; refused where a newer one has been filed since. Must be given where the cycle
        has more than one.

    Returns
    -------
    dict
        ``patient_key``, ``cycle``, ``version``, ``already_signed`` and the signature: ``role``, ``signed_by``,
        ``meaning``, ``reason``, ``result_hash``, ``signed_at`` (UTC), ``signed_at_local``.

    Raises
    ------
    RefusalError
        PATIENT_UNKNOWN, CYCLE_UNKNOWN, VERSION_AMBIGUOUS, VERSION_SUPERSEDED, ROLE_UNKNOWN, SIGNER_MISSING,
        REASON_REQUIRED, DOSE_NOT_SIGNED.
    """
    signed = store.sign(patient_key, cycle, role, by, reason, at, version)
    return {"patient_key": patient_key, **signed.row(), "already_signed": signed.already_signed}
