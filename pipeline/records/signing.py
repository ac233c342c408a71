"""Who may sign what: DRAFT -> PHYSICIST_SIGNED -> PHYSICIAN_DECIDED (section 6.3 of the clinical specification)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from pipeline.errors import RefusalError, require
from pipeline.records.filed_dose import kidneys
from pipeline.records.record import Signature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.records.record import CycleVersion, Role

MEANING: Final[dict[str, str]] = {
    "physicist": "I have reviewed the absorbed doses of this version and answer for them.",
    "physician": "I have reviewed the proposal for the next cycle and answer for the decision.",
}


@dataclass(frozen=True)
class SigningWish:
    """Who wants to sign what; ``version`` is the version that was reviewed, where the caller knows it."""

    cycle: int
    version: int | None
    role: str
    signed_by: str
    reason: str
    signed_at: str
    signed_at_local: str


@dataclass(frozen=True)
class SignedVersion:
    """A signature and the version it stands under; ``already_signed`` where it had stood there before."""

    cycle: int
    version: int
    signature: Signature
    already_signed: bool

    def row(self) -> dict[str, Any]:
        """Return the columns of the table ``signature``, without the patient."""
        return {"cycle": self.cycle, "version": self.version, **asdict(self.signature)}


def failed_checks(document: dict[str, Any]) -> tuple[str, ...]:
    """Return the regions whose independent second check did not pass.

    A check without tolerance is shown only; one that has a tolerance and no verdict did not pass.
    """
    checks = document.get("second_check") or ()
    judged = [c for c in checks if c.get("tolerance") is not None or c.get("passed") is False]
    return tuple(str(check.get("region")) for check in judged if check.get("passed") is not True)


def concerns(document: dict[str, Any]) -> tuple[str, ...]:
    """Return what a signer must answer for in words: failed second checks and BLOCK flags."""
    failed = [f"second check of {region}" for region in failed_checks(document)]
    blocking = [str(flag.get("code")) for flag in document.get("flags") or () if flag.get("level") == "BLOCK"]
    return tuple(dict.fromkeys([*failed, *blocking]))


def check_signature(versions: Sequence[CycleVersion], wish: SigningWish) -> SignedVersion:
    """Return the signature to keep: the one that stands already, or a new one that may be given.

    Parameters
    ----------
    versions : sequence of CycleVersion
        Of the cycle, the newest last. Of several the signer must say which one was reviewed, as another process may
        have filed one that nobody has seen.
    wish : SigningWish
    """
    role = _role(wish.role)
    if not versions:
        raise RefusalError(
            "CYCLE_UNKNOWN",
            found=f"no filed cycle {wish.cycle} of this patient",
            needed="a filed cycle",
            do="process the cycle first, or check its number",
            where="cycle",
        )
    version = versions[-1]
    require(
        wish.version is not None or len(versions) == 1,
        "VERSION_AMBIGUOUS",
        found=f"cycle {version.cycle} has {len(versions)} versions: {'; '.join(_described(v) for v in versions)}",
        needed="the number of the version that was reviewed",
        do=f"review version {version.version}, the newest, and give --version {version.version}",
        where="version",
    )
    require(
        wish.version in (None, version.version),
        "VERSION_SUPERSEDED",
        found=f"version {wish.version}, while version {version.version} is the newest of cycle {version.cycle}",
        needed="a signature under the newest version",
        do="review the newest version and sign that",
        where="version",
    )
    standing = version.signature_of(role)
    if standing is not None:
        return SignedVersion(version.cycle, version.version, standing, already_signed=True)
    _check_new(version, role, wish)
    signature = Signature(
        role=role,
        signed_by=wish.signed_by,
        meaning=MEANING[role],
        reason=wish.reason,
        result_hash=version.result_hash,
        signed_at=wish.signed_at,
        signed_at_local=wish.signed_at_local,
    )
    return SignedVersion(version.cycle, version.version, signature, already_signed=False)


def _described(version: CycleVersion) -> str:
    """Return number, time and doses of a version in words."""
    found = kidneys(version.document["regions"])
    doses = {"left kidney": found.left_gy, "right kidney": found.right_gy, "kidneys": found.rule and found.rule.mean_gy}
    known = [f"{name} {dose:.3f} Gy" for name, dose in doses.items() if dose is not None]
    created = (version.document.get("provenance") or {}).get("created_at") or version.recorded_at
    return f"version {version.version} created {created}, {', '.join(known) or 'no kidney dose'}"


def _role(role: str) -> Role:
    require(
        role in MEANING,
        "ROLE_UNKNOWN",
        found=f"role {role!r}",
        needed="physicist (doses) or physician (decision)",
        do="give --role physicist or --role physician",
        where="role",
    )
    return cast("Role", role)


def _check_new(version: CycleVersion, role: Role, wish: SigningWish) -> None:
    require(
        0 < len(wish.signed_by) <= 200,
        "SIGNER_MISSING",
        found="no name, or one of more than 200 characters",
        needed="the name of the person who signs",
        do="give --by NAME",
        where="by",
    )
    require(
        role == "physicist" or version.signature_of("physicist") is not None,
        "DOSE_NOT_SIGNED",
        found=f"version {version.version} of cycle {version.cycle} without a physicist's signature",
        needed="signed doses before a decision is signed",
        do="let the physicist sign this version first",
        where="role",
    )
    doubts = concerns(version.document)
    require(
        not doubts or bool(wish.reason),
        "REASON_REQUIRED",
        found=f"no reason, while these ask for one: {', '.join(doubts)}",
        needed="a reason why the result may be used all the same",
        do="give --reason TEXT, or correct the cause and process again",
        where="reason",
    )
