from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import exiftool
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.errors import SidecarInvalid
from dockd.footage.sidecar import (
    NAMESPACE,
    PROPERTIES,
    SidecarValues,
    parse_sidecar,
    render_sidecar,
    sidecar_name,
    write_sidecar,
)
from dockd.nouns import Hole, LateKind, MediaType, Officer, OwnerState

BEIJING = timezone(timedelta(hours=8))
FULL = SidecarValues(
    file_no="S1-20261122-000017",
    revision=2,
    record_id=17,
    visit_id=3,
    revised_at=datetime(2026, 11, 23, 10, 0, tzinfo=BEIJING),
    revised_by="person:wang",
    title="占道经营-某某商店-2026-11-22-1",
    device_no="0001",
    device_serial="012345A",
    officers=(Officer("33-1001", "李四", badge="012345"), Officer("33-1002", "王五", unit="一中队")),
    owner_state=OwnerState.ASSIGNED,
    used_from=datetime(2026, 11, 22, 9, 0, tzinfo=BEIJING),
    used_to=datetime(2026, 11, 22, 9, 10, 0, 500, tzinfo=BEIJING),
    time_basis="name+container",
    time_flags=("container_is_local",),
    party=("张三", "某某商店"),
    case_cause="占道经营",
    case_no="浙综执〔2026〕17号",
    is_evidence=True,
    important_mark=False,
    remark="第一行\n第二行\t<&>",
    original_path="DCIM/执法/0001.mp4".encode("gb18030"),
    other_paths=(b"DCIM/0001IMP.mp4",),
    media_type=MediaType.VIDEO,
    location="footage/2026/11/22/0001/S1-20261122-000017.mp4",
    digest_algo="sha256",
    digest="ab" * 32,
    size=5_000_000_000,
    holes=(Hole(4096, 512), Hole(1 << 33, 1)),
    late=False,
    late_kind=LateKind.STORED,
    duration_s=600.25,
    width=1920,
    height=1080,
    make="GBPE",
    model="zfy",
    problems=("truncated",),
)


# --- one file, both ways ------------------------------------------------------------------------------------


def test_what_was_rendered_is_parsed_back():
    assert parse_sidecar(render_sidecar(FULL)) == FULL


def test_the_same_values_give_the_same_bytes():
    assert render_sidecar(FULL) == render_sidecar(replace(FULL))


def test_every_field_stands_in_the_namespace_once():
    documented = [row.field for row in PROPERTIES]
    assert sorted([*documented, "officers"]) == sorted(f.name for f in fields(SidecarValues))
    assert len({row.name for row in PROPERTIES}) == len(PROPERTIES)


any_text = st.text(st.characters()) | st.sampled_from(
    ["", " ", "\r\n", "\\u{41}", "\\", "\ufffe", "\ud800", "]]>", "\x00\x1b"]
)
texts = st.lists(any_text, max_size=3).map(tuple)
times = st.datetimes(timezones=st.sampled_from([UTC, BEIJING, timezone(timedelta(hours=-5, minutes=-30))]))
numbers = st.integers(-(2**70), 2**70)
kinds: dict[str, st.SearchStrategy[object]] = {
    "text": any_text,
    "integer": numbers,
    "real": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "date": times,
    "offset+length": st.builds(Hole, st.integers(0), st.integers(0)),
    "base64": st.binary(max_size=30),
}
enums: dict[str, st.SearchStrategy[object]] = {
    "media_type": st.sampled_from(MediaType),
    "owner_state": st.sampled_from(OwnerState),
    "late_kind": st.sampled_from(LateKind),
}
rows: dict[str, st.SearchStrategy[object]] = {
    row.field: (st.lists(one, max_size=3).map(tuple) if row.many else st.none() | one)
    for row in PROPERTIES
    if row.field not in ("file_no", "revision") and (one := enums.get(row.field, kinds[row.form.name])) is not None
}
optional_text = st.none() | any_text
people = st.lists(st.builds(Officer, any_text, any_text, optional_text, optional_text), max_size=3).map(tuple)
any_values = st.builds(SidecarValues, file_no=any_text, revision=numbers, officers=people, **rows)  # type: ignore[arg-type]


@given(any_values)
def test_any_values_survive_unchanged(values: SidecarValues):
    data = render_sidecar(values)
    assert parse_sidecar(data) == values
    assert render_sidecar(parse_sidecar(data)) == data


@given(st.binary(max_size=200), st.integers(0, 3000))
def test_a_damaged_sidecar_is_invalid_or_still_a_sidecar_never_an_error_of_another_kind(noise: bytes, at: int):
    data = bytearray(render_sidecar(FULL))
    data[at : at + len(noise)] = noise
    with contextlib.suppress(SidecarInvalid):
        assert isinstance(parse_sidecar(bytes(data)), SidecarValues)


def test_a_time_without_a_zone_is_not_written():
    with pytest.raises(ValueError, match="zone"):
        render_sidecar(replace(FULL, docked_at=datetime(2026, 1, 1)))


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"<x/>",
        b"\xff\xfe<\0x\0/\0>\0",
        render_sidecar(FULL).replace(b"<dockd:schema>1<", b"<dockd:schema>2<"),
        render_sidecar(FULL).replace(b"<dockd:size>5000000000<", b"<dockd:size>many<"),
        render_sidecar(FULL).replace(b"<dockd:late>False<", b"<dockd:late>no<"),
        render_sidecar(FULL).replace(b"+08:00</dockd:usedFrom>", b"</dockd:usedFrom>"),
        render_sidecar(FULL).replace(b"dockd:fileNo>", b"dockd:fileName>"),
    ],
)
def test_what_is_not_such_a_sidecar_is_named_invalid(bad: bytes):
    with pytest.raises(SidecarInvalid):
        parse_sidecar(bad)


def test_a_doctype_is_refused_before_an_entity_can_grow():
    bomb = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>' + render_sidecar(FULL).replace(b"GBPE", b"&b;")
    with pytest.raises(SidecarInvalid, match="DOCTYPE"):
        parse_sidecar(bomb)


def test_a_property_of_a_later_version_is_passed_over():
    data = render_sidecar(FULL).replace(b"<dockd:fileNo>", b"<dockd:discNo>7</dockd:discNo><dockd:fileNo>")
    assert parse_sidecar(data) == FULL


# --- read by others -----------------------------------------------------------------------------------------


def test_exiftool_reads_what_dockd_wrote(tmp_path: Path):
    path = tmp_path / "a.mp4.xmp"
    write_sidecar(path, render_sidecar(FULL))
    with exiftool.ExifTool(common_args=["-G1", "-n", "-struct"], config_file="", encoding="utf-8") as tool:
        (told,) = tool.execute_json("-XMP:all", "-Warning", "-Error", str(path))
        (title,) = tool.execute_json("-XMP-dc:Title", str(path))
    assert title["XMP-dc:Title"] == FULL.title
    assert not [key for key in told if key.endswith(("Warning", "Error"))]
    assert told["XMP-dockd:CaseCause"] == "占道经营"
    assert told["XMP-dockd:Party"] == ["张三", "某某商店"]
    assert [officer["Name"] for officer in told["XMP-dockd:Officers"]] == ["李四", "王五"]
    assert told["XMP-dockd:Digest"] == FULL.digest
    assert told["XMP-dockd:Size"] == FULL.size
    assert told["XMP-xmp:CreateDate"] == "2026:11:22 09:00:00+08:00"
    assert (told["XMP-tiff:Make"], told["XMP-tiff:Model"]) == ("GBPE", "zfy")
    assert len([key for key in told if key.startswith("XMP-dockd:")]) == render_sidecar(FULL).count(b"\n   <dockd:")


def test_the_namespace_is_the_documented_one():
    assert f'xmlns:dockd="{NAMESPACE}"'.encode() in render_sidecar(FULL)


# --- on disk --------------------------------------------------------------------------------------------------


def test_a_revision_is_a_further_file():
    assert [sidecar_name("17.mp4", revision) for revision in (1, 2, 10)] == [
        "17.mp4.xmp",
        "17.mp4.r2.xmp",
        "17.mp4.r10.xmp",
    ]
    with pytest.raises(ValueError, match="count from 1"):
        sidecar_name("17.mp4", 0)


def test_a_written_sidecar_is_whole_read_only_and_alone(tmp_path: Path):
    path = tmp_path / "17.mp4.xmp"
    assert write_sidecar(path, b"data") == hashlib.sha256(b"data").hexdigest()
    assert path.read_bytes() == b"data"
    assert stat.S_IMODE(path.stat().st_mode) == 0o440
    assert path.stat().st_nlink == 1
    assert os.listdir(tmp_path) == [path.name]


def test_the_mode_does_not_depend_on_the_umask(tmp_path: Path):
    before = os.umask(0o777)
    try:
        write_sidecar(tmp_path / "a.xmp", b"data")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.xmp").stat().st_mode) == 0o440


def test_writing_the_same_again_is_no_error(tmp_path: Path):
    path = tmp_path / "a.xmp"
    first = write_sidecar(path, b"data")
    inode = path.stat().st_ino
    assert write_sidecar(path, b"data") == first
    assert path.stat().st_ino == inode


@pytest.mark.parametrize("there", [b"", b"dat", b"dat!", b"data and more"])
def test_another_sidecar_under_the_name_is_kept_and_named(tmp_path: Path, there: bytes):
    path = tmp_path / "a.xmp"
    path.write_bytes(there)
    with pytest.raises(FileExistsError):
        write_sidecar(path, b"data")
    assert path.read_bytes() == there
    assert os.listdir(tmp_path) == ["a.xmp"]


def test_a_link_under_the_name_is_not_followed(tmp_path: Path):
    target, path = tmp_path / "target", tmp_path / "a.xmp"
    target.write_bytes(b"data")
    path.symlink_to(target)
    with pytest.raises(FileExistsError):
        write_sidecar(path, b"data")


def test_what_a_crash_left_is_cleaned_up_by_the_next_try(tmp_path: Path):
    path = tmp_path / "a.xmp"
    (tmp_path / "a.xmp.part").write_bytes(b"da")
    write_sidecar(path, b"data")
    assert os.listdir(tmp_path) == ["a.xmp"]
    os.link(path, tmp_path / "a.xmp.part")  # as a crash between link and unlink leaves it
    write_sidecar(path, b"data")
    assert os.listdir(tmp_path) == ["a.xmp"]


def test_a_full_store_leaves_nothing_half_written(tmp_path: Path):
    with pytest.raises(OSError, match="name too long"):
        write_sidecar(tmp_path / ("a" * 252 + ".xmp"), b"data")
    assert os.listdir(tmp_path) == []
