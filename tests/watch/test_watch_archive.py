"""A zip is unpacked whole or refused; nothing lands outside its folder."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from pipeline.errors import RefusalError
from pipeline.files.archive import unpack


def _zip(path: Path, names: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return path


def _refused(archive: Path, into: Path, **bounds: int) -> str:
    with pytest.raises(RefusalError) as refused:
        unpack(archive, into, **bounds)
    assert not into.exists()
    assert list(into.parent.glob(".part-*")) == []
    return refused.value.code


def test_content_arrives_under_its_names(tmp_path: Path) -> None:
    unpack(_zip(tmp_path / "a.zip", {"x/y.dcm": b"1", "cycle.toml": b"2"}), tmp_path / "to" / "a")
    found = {p.relative_to(tmp_path / "to" / "a").as_posix(): p.read_bytes() for p in tmp_path.glob("to/a/**/*.*")}
    assert found == {"x/y.dcm": b"1", "cycle.toml": b"2"}


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/evil", "C:/evil", "..\\evil", "a\\..\\..\\evil", "//host/share/evil"]
)
def test_names_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        entry = zipfile.ZipInfo("placeholder")
        entry.filename = name
        opened.writestr(entry, b"evil")
    assert _refused(archive, tmp_path / "to" / "a") == "ARCHIVE_UNSAFE"
    assert [p.name for p in tmp_path.rglob("evil")] == []


def test_a_link_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(entry, "/etc/passwd")
    assert _refused(archive, tmp_path / "to" / "a") == "ARCHIVE_UNSAFE"


@pytest.mark.parametrize("names", [("A.dcm", "a.dcm"), ("a", "a/b")])
def test_one_name_twice_is_refused(names: tuple[str, str], tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", dict.fromkeys(names, b"1"))
    assert _refused(archive, tmp_path / "to" / "a") == "ARCHIVE_UNSAFE"


def test_bounds_on_size_and_number(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", {"zeros": bytes(2**20), "one": b"1"})
    assert archive.stat().st_size < 10_000, "a bomb: small in the archive, large on the disk"
    assert _refused(archive, tmp_path / "to" / "a", most_bytes=2**20) == "ARCHIVE_TOO_LARGE"
    assert _refused(archive, tmp_path / "to" / "a", most_files=1) == "ARCHIVE_TOO_LARGE"


def test_damage_is_refused(tmp_path: Path) -> None:
    whole = _zip(tmp_path / "a.zip", {"x": bytes(range(256)) * 40}).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    flipped = bytearray(whole)
    flipped[60] ^= 0xFF
    (tmp_path / "flipped.zip").write_bytes(flipped)
    for name in ("cut.zip", "flipped.zip"):
        assert _refused(tmp_path / name, tmp_path / "to" / name) == "ARCHIVE_DAMAGED"


def test_a_password_is_refused(tmp_path: Path) -> None:
    content = bytearray(_zip(tmp_path / "a.zip", {"x": b"1"}).read_bytes())
    # Bit 0 of the general purpose flags: at byte 6 of the local and byte 8 of the central header (APPNOTE 4.4.4).
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "b.zip").write_bytes(content)
    assert _refused(tmp_path / "b.zip", tmp_path / "to" / "b") == "ARCHIVE_ENCRYPTED"
