"""Damaged files end in a refusal or a description, never in an error of ours."""

from __future__ import annotations

import json

import pytest
from dicom_writer import PET, counts, ct, nm, slices
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.steps.inspect_series import inspect_paths

FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damage")
    nm(folder / "nm" / "a.dcm")
    slices(folder / "pet", PET, counts())
    ct(folder / "ct")
    return folder


@pytest.mark.parametrize("name", ["nm/a.dcm", "pet/002.dcm", "ct/002.dcm"])
@FAST
@given(data=st.data())
def test_any_damage_is_described(originals, name, data):
    """Up to 20 bytes behind the preamble are replaced, or the file is cut; `inspect` still gives plain JSON."""
    path = originals / name
    whole = path.read_bytes()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 20))):
        damaged[data.draw(st.integers(132, len(whole) - 1))] = data.draw(st.integers(0, 255))
    keep = data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))))
    try:
        path.write_bytes(bytes(damaged[:keep]))
        document = inspect_paths([path.parent])
    finally:
        path.write_bytes(whole)
    assert json.dumps(document, allow_nan=False)
    assert all(series["accepted"] == (series["reason"] is None) for series in document["series"])
