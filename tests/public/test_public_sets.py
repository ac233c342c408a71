"""The list of public data: complete entries, and nothing but the listed bytes is accepted."""

from __future__ import annotations

import hashlib
import re

import pytest

from pipeline.errors import RefusalError
from sample_dicom import public
from sample_dicom.public import public_sets

NAME = "phantom_lu177_patient15"


def test_every_set_names_origin_licence_hash_and_a_way_to_get_it():
    sets = public_sets()
    assert NAME in sets
    assert len(sets) >= 8
    for name, one in sets.items():
        assert re.fullmatch(r"[0-9a-f]{64}", one.sha256), name
        assert min(len(one.origin), len(one.licence), len(one.what)) >= 3, name
        assert bool(one.address) != bool(one.how), name
        assert not one.address or re.search(r"/raw/[0-9a-f]{12,40}/", one.address), f"{name}: not pinned"


def test_attribution_stands_where_the_licence_asks_for_it():
    assert all(one.cite for one in public_sets().values() if one.licence.startswith("CC BY"))


def test_other_bytes_are_not_taken(tmp_path, monkeypatch):
    good = b"the very bytes"
    entry = public.PublicSet(
        "a/b.zip", hashlib.sha256(good).hexdigest(), len(good), "origin", "MIT", "what", "https://x"
    )
    monkeypatch.setattr(public, "public_sets", lambda: {"one": entry})
    with pytest.raises(RefusalError) as refused:
        public.fetch(tmp_path, "one", lambda _address: b"other bytes")
    assert refused.value.code == "PUBLIC_DATA_INVALID"
    assert entry.state_in(tmp_path) == "missing"
    with pytest.raises(RefusalError):
        public.public_file(tmp_path, "one")
    assert public.fetch(tmp_path, "one", lambda _address: good).read_bytes() == good
    assert public.public_file(tmp_path, "one") == tmp_path / "a/b.zip"
    (tmp_path / "a/b.zip").write_bytes(b"changed")
    assert entry.state_in(tmp_path) == "different"


def test_a_file_that_is_not_the_phantom_is_refused(tmp_path):
    from sample_dicom.patient15 import read_patient15

    path = tmp_path / "x.zip"
    path.write_bytes(b"no zip")
    with pytest.raises(RefusalError) as refused:
        read_patient15(path)
    assert refused.value.code == "PUBLIC_DATA_INVALID"
