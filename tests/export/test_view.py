"""Article 27's classified storage: links by case, officer, recorder and month, and no protected name in any of them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from shelf import AT, Shelf

from dockd.errors import BadValue, ExportUnwritable, NotEmpty
from dockd.export.view import Built, build_view
from dockd.nouns import MediaType, OwnerState
from dockd.register.records import revise_record
from dockd.register.session import Register

ZONE = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def shelf(register: Register, store: Path) -> Shelf:
    """A tagged recording, one of a protected case, one that nothing is known of, and a log."""
    shelf = Shelf(register, store)
    shelf.officer("13012301", "王强")
    shelf.case("罚〔2026〕1号")
    shelf.case("罚/2", parties=("李秘",), confidentiality="privacy")
    visit = shelf.visit(shelf.recorder("YS-07"))
    told = {"officers": ("13012301",), "owner_state": OwnerState.ASSIGNED, "used_from": AT}
    shelf.record(visit, b"1.MP4", b"one", case_no="罚〔2026〕1号", title="无证采矿-张某-1", **told)
    hidden = {"case_no": "罚/2", "title": "无证采矿-李秘-2", "party": "李秘", "confidentiality": "privacy"}
    shelf.record(visit, b"2.MP4", b"two", **hidden, **told)
    shelf.record(shelf.visit(None), b"3.MP4", b"three")
    shelf.record(visit, b"4.log", b"four", media_type=MediaType.LOG)
    return shelf


def build(shelf: Shelf, folder: Path, language: str = "en") -> Built:
    assert shelf.store is not None
    return build_view(shelf.register, shelf.store, folder, station_no="S1", zone=ZONE, language=language)  # type: ignore[arg-type]


def links(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink())


def test_every_recording_is_found_under_each_of_its_items(shelf: Shelf, tmp_path: Path) -> None:
    assert build(shelf, tmp_path / "view") == Built(str(tmp_path / "view"), recordings=3, links=12)
    one, two, three = (f"S1-20261123-00000{v}-0000{n}.mp4" for v, n in ((1, 1), (1, 2), (2, 3)))
    at = "20261123-100000"
    assert links(tmp_path / "view") == sorted(
        [
            f"by-case/罚〔2026〕1号 无证采矿 张某/{at} 无证采矿-张某-1 {one}",
            f"by-case/罚 2 无证采矿/{at} {two}",
            f"by-case/no-case/{three}",
            f"by-officer/13012301 王强/{at} 无证采矿-张某-1 {one}",
            f"by-officer/13012301 王强/{at} {two}",
            f"by-officer/unassigned/{three}",
            f"by-recorder/YS-07/{at} 无证采矿-张某-1 {one}",
            f"by-recorder/YS-07/{at} {two}",
            f"by-recorder/unregistered/{three}",
            f"by-month/2026-11/{at} 无证采矿-张某-1 {one}",
            f"by-month/2026-11/{at} {two}",
            f"by-month/time-unknown/{three}",
        ]
    )


def test_a_link_leads_to_the_stored_file(shelf: Shelf, tmp_path: Path) -> None:
    build(shelf, tmp_path / "view")
    found = {path.read_bytes() for path in (tmp_path / "view/by-month").rglob("*.mp4")}
    assert found == {b"one", b"two", b"three"}


def test_what_lies_in_another_stations_store_is_not_linked(shelf: Shelf, tmp_path: Path) -> None:
    other = Shelf(shelf.register, station_no="S2", numbers=shelf.numbers)
    other.record(other.visit(), b"5.MP4", b"five")
    assert build(shelf, tmp_path / "view").recordings == 3


def test_a_record_that_is_protected_hides_the_parties_of_its_case(shelf: Shelf, tmp_path: Path) -> None:
    with shelf.register.write() as session:
        revise_record(session, 1, {"confidentiality": "秘密"}, actor="person:x", why="tagged", at=AT)
    build(shelf, tmp_path / "view")
    assert not [name for name in links(tmp_path / "view") if "张某" in name or "李秘" in name]


def test_made_again_it_is_what_the_register_says_now(shelf: Shelf, tmp_path: Path) -> None:
    build(shelf, tmp_path / "view")
    with shelf.register.write() as session:
        revise_record(session, 3, {"used_from": AT}, actor="person:x", why="tagged", at=AT)
    build(shelf, tmp_path / "view")
    assert not (tmp_path / "view/by-month/time-unknown").exists()
    assert len(links(tmp_path / "view")) == 12


def test_in_another_language_the_folders_have_other_names_and_the_old_ones_are_gone(
    shelf: Shelf, tmp_path: Path
) -> None:
    build(shelf, tmp_path / "view")
    build(shelf, tmp_path / "view", "zh")
    assert sorted(p.name for p in (tmp_path / "view").iterdir() if p.is_dir()) == sorted(
        ["按案件", "按执法人员", "按记录设备", "按月份"]
    )


def test_nobody_else_may_look_in(shelf: Shelf, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        build(shelf, tmp_path / "view")
    finally:
        os.umask(before)
    for path in [tmp_path / "view", *(tmp_path / "view").rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            assert stat.S_IMODE(path.stat().st_mode) == 0o750


def test_what_an_interrupted_build_left_is_cleared_away(shelf: Shelf, tmp_path: Path) -> None:
    build(shelf, tmp_path / "view")
    (tmp_path / "view/.building/by-case").mkdir(parents=True)
    (tmp_path / "view/.old").mkdir()
    build(shelf, tmp_path / "view")
    assert len(links(tmp_path / "view")) == 12
    assert not (tmp_path / "view/.old").exists()


def test_a_folder_with_something_else_in_it_is_left_alone(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").touch()
    with pytest.raises(NotEmpty):
        build(shelf, tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("place", ["store", "store/view", "."])
def test_no_view_in_the_store_or_around_it(shelf: Shelf, tmp_path: Path, place: str) -> None:
    with pytest.raises(BadValue):
        build(shelf, tmp_path / place)


def test_a_place_that_takes_no_folder_is_the_stores_trouble(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExportUnwritable):
        build(shelf, tmp_path / "file/view")


def test_a_name_that_is_too_long_or_odd_is_cut_so_that_it_can_be(shelf: Shelf, tmp_path: Path) -> None:
    with shelf.register.write() as session:
        revise_record(session, 1, {"title": "../采\n" * 100}, actor="person:x", why="tagged", at=AT)
    build(shelf, tmp_path / "view")
    names = [path.name for path in (tmp_path / "view/by-month/2026-11").iterdir()]
    assert len(names) == 2
    assert all(len(os.fsencode(name)) <= 255 and "\n" not in name for name in names)
