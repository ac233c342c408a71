"""Cycle form, blood, laboratory, imaging and events: units, dates, columns."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RefusalError
from pipeline.files.forms import (
    cycle_form_template,
    load_blood,
    load_cycle_form,
    load_event,
    load_imaging,
    load_labs,
)

FORM = """
patient_key = "key-1"
cycle = 2
radionuclide = "Lu-177"
activity_mbq = 7500.0
residual_mbq = 100
administered_at = 2026-03-02T10:00:00+01:00
weight_kg = 75.0
height_cm = 175.0
sex = "female"
"""


def code_of(action) -> str:
    with pytest.raises(RefusalError) as caught:
        action()
    assert caught.value.found
    assert caught.value.needed
    assert caught.value.do
    return caught.value.code


def test_net_activity_is_measured_less_residual(write):
    form = load_cycle_form(write(FORM + "prescribed_mbq = 7400.0\n[extras]\nvial = 'A7'\n"))
    assert form.administration.activity_bq == 7.4e9
    assert (form.measured_bq, form.residual_bq, form.prescribed_bq) == (7.5e9, 1e8, 7.4e9)
    assert form.administration.start == datetime(2026, 3, 2, 10, tzinfo=timezone(timedelta(hours=1)))
    assert (form.administration.sex, form.extras) == ("female", {"vial": "A7"})


def test_the_time_may_be_text(write):
    text = FORM.replace("2026-03-02T10:00:00+01:00", '"2026-03-02T10:00:00+01:00"')
    assert load_cycle_form(write(text)).administration == load_cycle_form(write(FORM)).administration


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('patient_key = "key-1"', "", "patient_key"),
        ('patient_key = "key-1"', 'patient_key = ""', "patient_key"),
        ("cycle = 2", "cycle = 0", "cycle"),
        ("cycle = 2", "cycle = 1.5", "cycle"),
        ('"Lu-177"', '"I-131"', "radionuclide"),
        ("7500.0", "7.5", "activity_mbq"),
        ("7500.0", "7.5e9", "activity_mbq"),
        ("7500.0", '"7500"', "activity_mbq"),
        ("residual_mbq = 100", "", "residual_mbq"),
        ("residual_mbq = 100", "residual_mbq = -1", "residual_mbq"),
        ("residual_mbq = 100", "residual_mbq = 7450", "activity_mbq"),
        ("administered_at = 2026-03-02T10:00:00+01:00", "administered_at = 2026-03-02", "administered_at"),
        ("administered_at = 2026-03-02T10:00:00+01:00", 'administered_at = "yesterday"', "administered_at"),
        ("weight_kg = 75.0", "weight_kg = 0", "weight_kg"),
        ("height_cm = 175.0", "height_cm = 1.75", "height_cm"),
        ('"female"', '"x"', "sex"),
        ('sex = "female"', 'sex = "female"\nresidual_mbg = 1', "residual_mbg"),
    ],
)
def test_a_bad_form_key_is_refused_by_its_name(write, old, new, where):
    assert old in FORM
    with pytest.raises(RefusalError) as caught:
        load_cycle_form(write(FORM.replace(old, new)))
    assert (caught.value.code, caught.value.where) == ("CYCLE_FORM_INVALID", where)


def test_a_time_without_offset_is_refused(write):
    assert code_of(lambda: load_cycle_form(write(FORM.replace("+01:00", "")))) == "TIME_ZONE_MISSING"


def test_the_template_is_a_form_once_its_blanks_are_filled(write):
    text = cycle_form_template()
    assert code_of(lambda: load_cycle_form(write(text))) == "CYCLE_FORM_INVALID"
    filled = {
        "patient_key": '"key-1"',
        "cycle": "1",
        "activity_mbq": "7500.0",
        "residual_mbq": "100.0",
        "administered_at": "2026-03-02T10:00:00+01:00",
    }
    for key, value in filled.items():
        assert text.count(f'{key} = "FILL IN"') == 1
        text = text.replace(f'{key} = "FILL IN"', f"{key} = {value}")
    assert load_cycle_form(write(text)).administration.activity_bq == 7.4e9


# ------------------------------------------------------------------ blood


def test_blood_is_sorted_and_in_seconds(write):
    blood = load_blood(write("time_h,activity_bq_per_ml\n24,120.5\n0.5,2000\n"))
    assert blood.time_s.tolist() == [1800.0, 86400.0]
    assert blood.activity_bq_per_ml.tolist() == [2000.0, 120.5]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "time_h,activity_bq_per_ml\n",
        "time_min,activity_bq_per_ml\n1,2\n",
        "time_h,activity_bq_per_ml\n1,high\n2,3\n",
        "time_h,activity_bq_per_ml\n-1,2\n2,3\n",
        "time_h,activity_bq_per_ml\n1,-2\n2,3\n",
        "time_h,activity_bq_per_ml\n1,nan\n2,3\n",
        "time_h,activity_bq_per_ml\n1,2,3\n",
        "time_h,activity_bq_per_ml\n1,\n",
    ],
)
def test_bad_blood_is_refused(write, text):
    assert code_of(lambda: load_blood(write(text))) == "BLOOD_INVALID"


def test_two_samples_at_one_time_are_refused(write):
    assert code_of(lambda: load_blood(write("time_h,activity_bq_per_ml\n1,2\n1,3\n"))) == "CURVE_TIMES_INVALID"


def test_one_blood_sample_is_refused(write):
    assert code_of(lambda: load_blood(write("time_h,activity_bq_per_ml\n1,2\n"))) == "BLOOD_SAMPLES_INVALID"


# ------------------------------------------------------------------ laboratory


def test_labs_in_usual_units(write):
    (panel,) = load_labs(write("date,wbc,granulocytes,platelets,haemoglobin,creatinine\n2026-04-15,4.2,2.4,160,120,\n"))
    assert panel == {
        "date": "2026-04-15",
        "wbc": 4.2,
        "granulocytes": 2.4,
        "platelets": 160.0,
        "haemoglobin": 120.0,
        "creatinine": None,
    }


@pytest.mark.parametrize(
    ("column", "cell", "name", "expected"),
    [
        ("haemoglobin [g/dL]", "9.8", "haemoglobin", 98.0),
        ("haemoglobin (mmol/L)", "7.5", "haemoglobin", 120.855),
        ("haemoglobin_g_per_dl", "12.0", "haemoglobin", 120.0),
        ("creatinine [mg/dL]", "1.0", "creatinine", 88.4),
        ("bilirubin [mg/dL]", "1.0", "bilirubin", 17.1),
        ("creatinine [µmol/L]", "88.4", "creatinine", 88.4),
        ("lymphocytes [10³/µL]", "1.2", "lymphocytes", 1.2),
        ("lymphocytes [10^9/L]", "1.2", "lymphocytes", 1.2),
        ("lymphocytes [x10^9/L]", "1.2", "lymphocytes", 1.2),
        ("lymphocytes [/µL]", "1200", "lymphocytes", 1.2),
        ("lymphocytes_per_ul", "1200", "lymphocytes", 1.2),
        ("alt_uln", "40", "alt_uln", 40.0),
    ],
)
def test_conversions(write, column, cell, name, expected):
    """Section 4.1: Hb g/dL x 10, mmol/L x 16.114; creatinine mg/dL x 88.4; bilirubin x 17.1; section 2.5: counts."""
    text = f"date,wbc,granulocytes,platelets,{column}\n2026-04-15,4.2,2.4,160,{cell}\n"
    assert load_labs(write(text))[0][name] == expected


def test_a_column_of_units_counts_row_by_row(write):
    head = "date,wbc,granulocytes,platelets,haemoglobin,haemoglobin_unit\n"
    rows = "2026-04-15,4.2,2.4,160,12.0,g/dL\n2026-04-22,4.2,2.4,160,120,g/L\n"
    assert [panel["haemoglobin"] for panel in load_labs(write(head + rows))] == [120.0, 120.0]


@given(value=st.integers(1, 99).map(lambda n: n / 10))
def test_units_of_counts_change_nothing(tmp_path_factory, value):
    """10^3/uL = 10^9/L = G/L, /uL / 1000 (property of section 2.5); exactly the same number."""
    folder = tmp_path_factory.mktemp("labs")
    read = []
    for unit, factor in (("10^9/L", 1), ("G/L", 1), ("10^3/uL", 1), ("/uL", 1000)):
        path = folder / "labs.csv"
        path.write_text(f"date,wbc [{unit}],granulocytes,platelets\n2026-04-15,{round(value * factor, 6)},1,100\n")
        read.append(load_labs(path)[0]["wbc"])
    assert read == [value] * 4


@pytest.mark.parametrize(
    "text",
    [
        "date,wbc,granulocytes\n2026-04-15,4,2\n",
        "date,wbc,granulocytes,platelets,platlets\n2026-04-15,4,2,100,100\n",
        "date,wbc,granulocytes,platelets\n15.4.2026,4,2,100\n",
        "date,wbc,granulocytes,platelets\n2026-04-15,4,2,many\n",
        "date,wbc,granulocytes,platelets\n2026-04-15,-4,2,100\n",
        "date,wbc,granulocytes,platelets\n2026-04-15,4,2,160000\n",
        "date,wbc,granulocytes,platelets\n2026-04-15,4,57,160\n",
        "date,wbc,granulocytes [/uL],platelets\n2026-04-15,4,4201,160\n",
        "date,wbc,granulocytes,platelets,haemoglobin\n2026-04-15,4,2,160,12.0\n",
        "date,wbc,granulocytes,platelets,haemoglobin [stone]\n2026-04-15,4,2,160,120\n",
        "date,wbc,granulocytes,platelets,wbc [/uL]\n2026-04-15,4,2,160,4000\n",
        "date,wbc,granulocytes,platelets\n",
        '"2026',
    ],
)
def test_bad_labs_are_refused(write, text):
    assert code_of(lambda: load_labs(write(text))) == "LABS_INVALID"


def test_granulocytes_in_percent_are_named(write):
    with pytest.raises(RefusalError) as caught:
        load_labs(write("date,wbc,granulocytes,platelets\n2026-04-15,4.2,57,160\n"))
    assert "percent" in caught.value.found
    assert "10^9/L" in caught.value.needed
    assert load_labs(write("date,wbc,granulocytes,platelets\n2026-04-15,2.0,2.4,160\n"))[0]["wbc"] == 2.0


def test_semicolons_of_a_spreadsheet_are_read(write):
    assert load_labs(write("date;wbc;granulocytes;platelets\n2026-04-15;4.2;2.4;160\n"))[0]["wbc"] == 4.2


# ------------------------------------------------------------------ imaging and events


def test_imaging(write):
    rows = load_imaging(write("date,modality,recist\n2026-04-10,CT,sd\n2026-06-10,MR,\n"))
    assert rows == (
        {"date": "2026-04-10", "modality": "CT", "recist": "SD"},
        {"date": "2026-06-10", "modality": "MR", "recist": None},
    )


@pytest.mark.parametrize("row", ["2026-04-10,CT,good", "2026-04-10,,SD", "April,CT,SD"])
def test_bad_imaging_is_refused(write, row):
    assert code_of(lambda: load_imaging(write(f"date,modality,recist\n{row}\n"))) == "IMAGING_INVALID"


HEAD = 'date = 2026-04-10\nby = "physician"\nreason = "seen"\n'


def test_event_flat_or_in_tables(write):
    flat = load_event(write(HEAD + "liver = 2\ndead = false\nprogressed_after = true\nphase = 'SALVAGE'\n"))
    tables = load_event(
        write(
            HEAD + "phase = 'SALVAGE'\n[burden]\nliver = 2\n[flags]\ndead = false\n[salvage]\nprogressed_after = true\n"
        )
    )
    assert flat == tables
    assert flat["date"] == "2026-04-10"
    assert (flat["liver"], flat["dead"], flat["progressed_after"]) == (2, False, True)
    assert "bone" not in flat


def test_event_details(write):
    text = HEAD + "phase_started_on = 2026-01-05\nasymmetry_acknowledged = [2, 1]\nworst_haematological_grade = 3\n"
    event = load_event(write(text))
    assert event["phase_started_on"] == "2026-01-05"
    assert (event["asymmetry_acknowledged"], event["worst_haematological_grade"]) == ([1, 2], 3)


GIVEN = "[[given_cycles]]\ncycle = 2\ngiven_on = 2026-04-20\nactivity_gbq = 7.4\n"
IMPUTED = "[[imputed]]\ncycle = 2\nkidney_gy = 3.6\nmarrow_gy = 0.12\nmarrow_method = 'blood_planar'\n"


def test_cycles_given_elsewhere_and_imputed_doses_are_read(write):
    event = load_event(
        write(HEAD + "supersedes = '0123456789'\n" + GIVEN + IMPUTED + "[[imputed]]\ncycle = 3\nkidney_gy = 4\n")
    )
    assert event["given_cycles"] == [{"cycle": 2, "given_on": "2026-04-20", "activity_gbq": 7.4}]
    assert event["imputed"] == [
        {"cycle": 2, "kidney_gy": 3.6, "marrow_gy": 0.12, "marrow_method": "blood_planar"},
        {"cycle": 3, "kidney_gy": 4.0},
    ]
    assert event["supersedes"] == "0123456789"
    assert load_event(write(HEAD + "filed_in_error = [2, 1]\n"))["filed_in_error"] == [1, 2]


def test_rows_name_the_entry_they_correct(write):
    labs = load_labs(
        write("date,wbc,granulocytes,platelets,supersedes\n2026-04-15,4,2,160,0123abcd\n2026-04-16,4,2,160,\n")
    )
    assert labs[0]["supersedes"] == "0123abcd"
    assert "supersedes" not in labs[1]
    imaging = load_imaging(write("date,modality,recist,supersedes\n2026-04-15,CT,SD,0123abcd\n2026-04-16,CT,SD,\n"))
    assert imaging[0]["supersedes"] == "0123abcd"
    assert "supersedes" not in imaging[1]


@pytest.mark.parametrize(
    "text",
    [
        HEAD + GIVEN.replace("7.4", "7400"),
        HEAD + GIVEN.replace("given_on = 2026-04-20\n", ""),
        HEAD + GIVEN + GIVEN,
        HEAD + GIVEN + "comment = 'x'\n",
        HEAD + IMPUTED.replace("3.6", "0.0"),
        HEAD + IMPUTED.replace("3.6", "3600.0"),
        HEAD + IMPUTED.replace("marrow_method = 'blood_planar'\n", ""),
        HEAD + IMPUTED.replace("blood_planar", "guess"),
        HEAD + IMPUTED.replace("cycle = 2", "cycle = 0"),
        HEAD + IMPUTED + IMPUTED,
        HEAD + "[[imputed]]\ncycle = 2\n",
        HEAD + "[[imputed]]\ncycle = 2\nmarrow_sigma_gy = 0.1\nkidney_gy = 3.0\n",
        HEAD + "imputed = 3.6\n",
        HEAD + "imputed = []\n",
        HEAD + "supersedes = '0123456789'\n",
        HEAD,
        HEAD + "liver = 5\n",
        HEAD + "bone = 4\n",
        HEAD + "lymph_nodes = 4\n",
        HEAD + "peritoneal_pleural = 3\n",
        HEAD + "peritoneal_pleural = -1\n",
        HEAD + "dead = 1\n",
        HEAD + "ded = true\n",
        HEAD + "protocol = 'OTHER'\n",
        HEAD + "worst_haematological_grade = 6\n",
        HEAD + "asymmetry_acknowledged = [0]\n",
        HEAD + "liver = 1\n[burden]\nliver = 2\n",
        'date = 2026-04-10\nreason = "seen"\ndead = true\n',
        'date = "soon"\nby = "x"\nreason = "seen"\ndead = true\n',
    ],
)
def test_bad_events_are_refused(write, text):
    assert code_of(lambda: load_event(write(text))) == "EVENT_INVALID"


def test_the_highest_points_of_every_site_are_read(write):
    """Section 7.4: liver 4, bone 3, lymph nodes 3, peritoneal and pleural 2; the total ends at 12."""
    event = load_event(write(HEAD + "liver = 4\nbone = 3\nlymph_nodes = 3\nperitoneal_pleural = 2\n"))
    assert sum(event[site] for site in ("liver", "bone", "lymph_nodes", "peritoneal_pleural")) == 12


def test_event_keys_are_the_fields_of_the_domain(write):
    """Every flag and every condition of the domain can be said in an event."""
    from dataclasses import fields

    from pipeline.domain.decision import ClinicianFlags, SalvageStatus

    names = [field.name for kind in (ClinicianFlags, SalvageStatus) for field in fields(kind)]
    event = load_event(write(HEAD + "".join(f"{name} = true\n" for name in names)))
    assert all(event[name] is True for name in names)
    assert np.array_equal(sorted(set(event) - {"date", "by", "reason"}), sorted(names))
