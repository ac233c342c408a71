"""Commands on a patient's record."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.application import app
from pipeline.cli.options import EXIT_LOOK, Json, Laterality, Patient, Records, Role, emit, parse_date


@app.command()
def record(
    patient: Patient,
    records: Records,
    labs: Annotated[
        Path | None,
        typer.Option(
            help="CSV `date,wbc,granulocytes,platelets` in 10^9/L, also `haemoglobin` g/L, `creatinine` umol/L."
        ),
    ] = None,
    imaging: Annotated[Path | None, typer.Option(help="CSV `date,modality,recist`.")] = None,
    event: Annotated[Path | None, typer.Option(help="TOML: flags, orders, burden points.")] = None,
    as_json: Json = False,
) -> None:
    """Add laboratory values, response imaging or an event to a patient's record.

    Example: `prrt record phantom-1 --records sqlite:///demo/records.db --labs demo/labs.csv`
    """
    from pipeline.console_record import show_recorded
    from pipeline.records.store import open_store
    from pipeline.steps.record_events import record_files

    with open_store(records) as store:
        added = record_files(store, patient, labs=labs, imaging=imaging, event=event, at=datetime.now(UTC))
    emit(added, as_json, show_recorded)


@app.command()
def sign(
    patient: Patient,
    cycle: Annotated[int, typer.Option(help="Cycle number.")],
    role: Annotated[Role, typer.Option(help="Physicist (dose) or physician (decision).")],
    by: Annotated[str, typer.Option(help="Who signs.")],
    records: Records,
    reason: Annotated[str, typer.Option(help="Needed where a check failed or a flag blocks.")] = "",
    version: Annotated[
        int | None, typer.Option(min=1, help="The version that was reviewed; needed where the cycle has several.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Sign a filed cycle; a signed version never changes.

    Example: `prrt sign phantom-1 --cycle 1 --role physicist --by "A. Physicist" --records sqlite:///demo/records.db`
    """
    from pipeline.console_record import show_signature
    from pipeline.records.store import open_existing
    from pipeline.steps.sign import sign_cycle

    with open_existing(records) as store:
        signed = sign_cycle(
            store, patient, cycle=cycle, role=role.value, by=by, reason=reason, at=datetime.now(UTC), version=version
        )
    emit(signed, as_json, show_signature)


@app.command()
def decide(
    patient: Patient,
    on: Annotated[str, typer.Option(help="Date of the decision, YYYY-MM-DD.")],
    records: Records,
    activity_gbq: Annotated[float | None, typer.Option(help="Planned activity; default: the protocol's.")] = None,
    as_json: Json = False,
) -> None:
    """Evaluate every rule of the protocol: may the next cycle be given on this date?

    Example: `prrt decide phantom-1 --on 2026-04-20 --records sqlite:///demo/records.db`
    """
    from pipeline.console import show_decision
    from pipeline.records.store import open_existing
    from pipeline.steps.decide import decide_next

    day = parse_date(on, "--on")
    with open_existing(records) as store:
        decision = decide_next(store, patient, on=day, planned_activity_gbq=activity_gbq)
    emit(decision, as_json, show_decision)
    raise typer.Exit(EXIT_LOOK if decision["outcome"] == "REFER" else 0)


@app.command()
def show(
    patient: Patient,
    records: Records,
    as_of: Annotated[str | None, typer.Option(help="Only what was recorded by this date, YYYY-MM-DD.")] = None,
    as_json: Json = False,
) -> None:
    """Show a patient's record: cycles with their signatures, laboratory values, imaging, events.

    With --json all of it, the results too.

    Example: `prrt show phantom-1 --records sqlite:///demo/records.db`
    """
    from pipeline.console_record import show_record
    from pipeline.records.store import open_existing
    from pipeline.steps.show import show_patient

    with open_existing(records) as store:
        document = show_patient(store, patient, as_of=parse_date(as_of, "--as-of") if as_of else None)
    emit(document, as_json, show_record)


@app.command()
def explain(
    patient: Patient,
    cycle: Annotated[int, typer.Option(help="Cycle number.")],
    region: Annotated[str, typer.Option(help="Name as in the result, as `kidney` or `lesion-1`.")],
    records: Records,
    laterality: Annotated[Laterality | None, typer.Option(help="For a paired organ.")] = None,
    as_json: Json = False,
) -> None:
    """Show how one dose came about, factor by factor, multiplied back to what was filed.

    Example: `prrt explain phantom-1 --cycle 1 --region kidney --laterality left --records sqlite:///demo/records.db`
    """
    from pipeline.console_ledger import show_ledger
    from pipeline.records.store import open_existing
    from pipeline.steps.explain import explain as explain_dose

    side = laterality.value if laterality else None
    with open_existing(records) as store:
        document = explain_dose(store, patient, cycle=cycle, region=region, laterality=side)
    emit(document, as_json, show_ledger)
