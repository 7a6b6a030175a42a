"""CSVs of other systems: whatever the bytes, a table, a refusal or a line number."""

from __future__ import annotations

import contextlib
import csv
import io
import random
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dockd.errors import NotACsv
from dockd.register import csvfile
from dockd.register.csvfile import CELL_MAX, ENDLESS, Column, Sheet, parse_sheet, read_sheet
from dockd.register.imports import CASE_COLUMNS, OFFICER_COLUMNS, RECORDER_COLUMNS

COLUMNS = (Column("no", "编号", required=True), Column("name", "名称"), Column("unit", "单位"))

# What a spreadsheet can hold in a cell: no NUL, no unpaired surrogates; outer spaces are not kept.
CELLS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\ufeff"), max_size=40).map(str.strip)
TABLES = st.lists(st.lists(CELLS, min_size=3, max_size=3).filter(any), max_size=8)


def sheet(text: str | bytes) -> Sheet:
    raw = text.encode() if isinstance(text, str) else text
    return parse_sheet(raw, COLUMNS, name="file.csv")


def reason(text: str | bytes) -> str:
    with pytest.raises(NotACsv) as caught:
        sheet(text)
    return str(caught.value)


def written(header: list[str], rows: list[list[str]], delimiter: str = ",", newline: str = "\r\n") -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL)
    writer.writerows([header, *rows])
    return out.getvalue()


@given(
    TABLES,
    st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]),
    st.sampled_from([0, 1]),
    st.permutations([0, 1, 2]),
    st.sampled_from(",;\t"),
    st.sampled_from(["\r\n", "\n"]),
)
def test_what_was_written_is_read_in_every_encoding_language_order_and_delimiter(
    rows: list[list[str]], encoding: str, language: int, order: list[int], delimiter: str, newline: str
) -> None:
    header = [(COLUMNS[i].name, COLUMNS[i].chinese)[language] for i in order]
    text = written(header, [[row[i] for i in order] for row in rows], delimiter, newline)
    raw = text.encode(encoding)
    if encoding == "gb18030":
        assume(not readable_as_utf8(raw) or raw.isascii())
    found = sheet(raw)
    assert not found.bad
    expected = [{c.name: cell for c, cell in zip(COLUMNS, row, strict=True) if cell} for row in rows]
    assert [dict(line.cells) for line in found.lines] == expected


def readable_as_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.binary(max_size=300))
def test_random_bytes_are_a_table_or_refused(raw: bytes) -> None:
    with contextlib.suppress(NotACsv):
        sheet(raw)


@given(st.text(max_size=200), st.sampled_from([OFFICER_COLUMNS, RECORDER_COLUMNS, CASE_COLUMNS]))
def test_any_text_under_a_header_gives_lines_or_bad_lines(text: str, columns: tuple[Column, ...]) -> None:
    raw = (",".join(column.name for column in columns) + "\n" + text).encode("utf-8", "replace").replace(b"\0", b"")
    found = parse_sheet(raw, columns, name="file.csv")
    numbers = [line.number for line in found.lines] + [bad.line_no for bad in found.bad]
    assert len(numbers) == len(set(numbers))
    assert all(number > 1 for number in numbers)


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    found = sheet('no,name\n\nA1,"two\nlines"\n,\nA2,x\rA3,y\r\nA4,"z"z\nA5,w\n')
    assert [(line.number, line.cells["no"]) for line in found.lines] == [(3, "A1"), (6, "A2"), (7, "A3"), (9, "A5")]
    assert [bad.line_no for bad in found.bad] == [8]


def test_header_words_may_have_spaces_be_full_width_or_upper_case() -> None:
    found = sheet("\ufeff ＮＯ ,　名称　,UNIT\nA1,甲,乙")
    assert found.lines[0].cells == {"no": "A1", "name": "甲", "unit": "乙"}


def test_a_second_byte_order_mark_before_a_quoted_header_does_no_harm() -> None:
    assert sheet('\ufeff\ufeff"no"\nA1').lines[0].cells == {"no": "A1"}


def test_columns_that_nobody_knows_are_reported_and_ignored() -> None:
    found = sheet("no,备注,\nA1,x,\nA2,y")
    assert found.ignored_columns == ("备注",)
    assert [dict(line.cells) for line in found.lines] == [{"no": "A1"}, {"no": "A2"}]


def test_a_missing_key_column_names_it_in_both_languages() -> None:
    assert "lacks no (编号)" in reason("name,unit\n甲,乙")


def test_a_column_that_stands_twice_is_refused_also_in_two_languages() -> None:
    assert "has no twice" in reason("no,编号\nA1,A2")


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"\xef\xbb\xbf", b"hello", b'"no', b",,,"])
def test_what_has_no_header_is_no_table(raw: bytes) -> None:
    assert "cannot be read as a table" in reason(raw)


def test_utf16_and_spreadsheets_are_refused_by_their_nul_bytes() -> None:
    assert "NUL" in reason("no,name\nA1,甲".encode("utf-16"))
    assert "NUL" in reason(b"PK\x03\x04\x14\x00\x06\x00")


def test_bytes_that_are_neither_utf8_nor_gb18030_are_refused() -> None:
    assert "neither UTF-8 nor GB18030" in reason(b"no,name\nA1,\xff\xff")


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(csvfile, "FILE_MAX", 1 << 20)
    path = tmp_path / "large.csv"
    path.write_bytes(b"no\n" + b"1\n" * (1 << 19))
    with pytest.raises(NotACsv, match="larger than 1 MiB"):
        read_sheet(path, COLUMNS)


def test_a_folder_or_nothing_at_all_is_refused_with_the_systems_reason(tmp_path: Path) -> None:
    with pytest.raises(NotACsv, match="Is a directory"):
        read_sheet(tmp_path, COLUMNS)
    with pytest.raises(NotACsv, match="No such file"):
        read_sheet(tmp_path / "absent.csv", COLUMNS)


def test_a_cell_that_is_too_long_makes_its_line_bad_and_no_other() -> None:
    found = sheet(f"no,name\nA1,{'x' * CELL_MAX}\nA2,{'x' * (CELL_MAX + 1)}\nA3,y")
    assert [line.cells["no"] for line in found.lines] == ["A1", "A3"]
    assert [(bad.line_no, bad.column) for bad in found.bad] == [(3, "name")]
    assert len(found.bad[0].value) < 100


def test_a_quotation_mark_that_is_never_closed_is_named_where_it_opens() -> None:
    found = sheet('no,name\nA1,x\nA2,"y\nA3,z\n')
    assert [line.cells["no"] for line in found.lines] == ["A1"]
    assert found.bad[0].line_no == 3
    assert "never closed" in found.bad[0].reason


@pytest.mark.parametrize("limit", [128 << 10, sys.maxsize])
def test_nothing_inside_an_endless_cell_is_taken_for_a_line(limit: int) -> None:
    before = csv.field_size_limit(limit)  # of the whole process: frictionless, for one, raises it
    inside = "A9,evil\n" * (ENDLESS // 8 + 100)
    try:
        found = sheet(f'no,name\nA1,x\nA2,"{inside}"\nA3,z\n')
        assert csv.field_size_limit() == limit
    finally:
        csv.field_size_limit(before)
    assert [line.cells["no"] for line in found.lines] == ["A1"]
    assert [bad.line_no for bad in found.bad] == [3]
    assert "nothing after it was read" in found.bad[0].reason


def test_more_cells_than_the_header_has_make_a_line_bad_unless_they_are_empty() -> None:
    found = sheet("no,name\nA1,x,,\nA2,y,z\nA3")
    assert [line.cells["no"] for line in found.lines] == ["A1", "A3"]
    assert [(bad.line_no, bad.reason) for bad in found.bad] == [(3, "3 cells under a header of 2")]


def test_what_looks_like_a_formula_is_its_text() -> None:
    cells = ["=1+1", "+A", "-2", "@x", "'='"]
    found = sheet("no,name\n" + "".join(f"A{i},{cell}\n" for i, cell in enumerate(cells)))
    assert [line.cells["name"] for line in found.lines] == cells


def test_a_delimiter_inside_the_cells_is_not_taken_for_that_of_the_file() -> None:
    assert sheet("no,name\nA1,甲;乙;丙;丁").lines[0].cells["name"] == "甲;乙;丙;丁"
    assert sheet("no;name\nA1;1,2,3").lines[0].cells["name"] == "1,2,3"
    assert sheet("no\tname\nA1\t1,2;3").lines[0].cells["name"] == "1,2;3"


def test_ten_thousand_lines_are_read_at_once() -> None:
    dice = random.Random(7)
    rows = [[f"N{i}", "名" * dice.randrange(5) or "x", "u"] for i in range(10_000)]
    assert len(sheet(written(["no", "name", "unit"], rows)).lines) == len(rows)
