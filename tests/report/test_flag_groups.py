"""Flags as they are read: each code and level once, every region named, every word kept."""

from __future__ import annotations

from pipeline.report.flag_groups import all_flags, grouped


def flag(code: str, region: str | None, text: str, level: str = "WARN") -> dict[str, str | None]:
    return {"code": code, "level": level, "text": text, "region": region}


def test_one_entry_for_several_lesions_and_the_shared_ending_once() -> None:
    ending = "below 8 mL; its dose rests on the recovery correction"
    sizes = {"lesion-3": "5.5 mL", "lesion-4": "3.4 mL", "lesion-5": "2.2 mL"}
    (group,) = grouped(flag("PVE_LIMITED", key, f"{key}: {size}, {ending}") for key, size in sizes.items())
    assert group.regions == "Lesion 3; Lesion 4; Lesion 5"
    assert group.lines == ("Lesion 3: 5.5 mL; Lesion 4: 3.4 mL; Lesion 5: 2.2 mL", f"each: {ending}")


def test_equal_texts_stand_once_without_their_regions() -> None:
    (group,) = grouped(flag("LESIONS_TOUCH", key, "they touch") for key in ("lesion-1", "lesion-2"))
    assert (group.regions, group.lines) == ("Lesion 1; Lesion 2", ("they touch",))


def test_two_texts_of_one_region_are_both_kept() -> None:
    texts = ("2.2 mL, below 8 mL", "recovery coefficient 0.41, below 0.5")
    (group,) = grouped(flag("PVE_LIMITED", "lesion-5", f"lesion-5: {text}") for text in texts)
    assert group.regions == "Lesion 5"
    assert group.lines == tuple(f"Lesion 5: {text}" for text in texts)


def test_no_text_is_emptied_by_what_is_shared() -> None:
    (group,) = grouped([flag("A", "lesion-1", "one; the end"), flag("A", "lesion-2", "the end")])
    assert group.lines == ("Lesion 1: one; the end", "Lesion 2: the end")


def test_levels_stay_apart_and_the_gravest_comes_first() -> None:
    flags = [flag("B", None, "x", "INFO"), flag("A", "liver", "x"), flag("A", "kidney_left", "x", "BLOCK")]
    groups = grouped(all_flags({"flags": flags, "regions": []}))
    assert [(one.level, one.code, one.regions) for one in groups] == [
        ("BLOCK", "A", "Kidney, left"),
        ("WARN", "A", "Liver (normal)"),
        ("INFO", "B", "Whole result"),
    ]
    assert groups[2].lines == ("x",)
