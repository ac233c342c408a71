"""The seed's categories of why a treatment ended (section 1B), from the reasons of a STOP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

CATEGORY_OF_CODE: Final[dict[str, str]] = {
    "DEATH": "DEATH",
    "WITHDRAWN": "WITHDRAWN",
    "KIDNEY_DOSE_REACHED": "KIDNEY_DOSE",
    "KIDNEY_DOSE_PROJECTED": "KIDNEY_DOSE",
    "MARROW_DOSE_REACHED": "MARROW_DOSE",
    "MARROW_DOSE_PROJECTED": "MARROW_DOSE",
    "STANDARD_PROTOCOL_COMPLETE": "STANDARD_PROTOCOL",
    "PROGRESSION": "PROGRESSION",
    "GENERAL_DETERIORATION": "DETERIORATION",
    "TUMOUR_LOAD_DECREASE": "TUMOUR_DECREASE",
    "BONE_MARROW_TOXICITY": "BONE_MARROW_TOXICITY",
    "BLOOD_RECOVERY_TIMEOUT": "BONE_MARROW_TOXICITY",
}


def seed_stop_category(stop_codes: Iterable[str], primary: str | None = None) -> str | None:
    """Return the category of the reasons of a STOP, or None without one.

    Death always stands alone. Several categories are ``COMBINATION(A+B)``, which keeps its constituents, unless a
    physician names one of them as the primary one.

    Source: Fröss-Baron et al., Neuroendocrinology 2021;111:330-343 (stop reasons); mapping of section 2.4.
    """
    categories = sorted({CATEGORY_OF_CODE[code] for code in stop_codes if code in CATEGORY_OF_CODE})
    if "DEATH" in categories:
        return "DEATH"
    if primary in categories:
        return primary
    if len(categories) > 1:
        return f"COMBINATION({'+'.join(categories)})"
    return categories[0] if categories else None
