"""Article 27's classified storage as links: by case, officer, recorder and month, made anew from the register at will.

并按照名称、记录设备编号、执法人员信息、使用时间、案件当事人和案由名称等项目分类存储
and store them classified by items such as title, number of the recording device, officer information,
time of use, party to the case and cause of action

A view holds links only: thrown away, nothing is lost. Parties and titles of protected cases and records
(article 27(2)) are in none of its names, and nobody but the station's user and group may look in.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from dockd.errors import BadValue, NotEmpty
from dockd.export.atomic import unwritable
from dockd.law.masking import is_protected
from dockd.locale import _
from dockd.nouns import MediaType
from dockd.register.officers import officer_names
from dockd.register.records import newest_location
from dockd.register.session import Register
from dockd.register.tables import CaseRow, FootageRow, LocationRow, RecorderRow, RecordRow

MARK = ".dockd-view"
FOLDER_MODE = 0o750
_PAGE = 2000
_NAME_BYTES = 200  # of the 255 that a file system takes: number and extension come behind
_BUILDING, _OLD = ".building", ".old"

FOLDERS = {
    "case": {"en": "by-case", "zh": "按案件"},
    "officer": {"en": "by-officer", "zh": "按执法人员"},
    "recorder": {"en": "by-recorder", "zh": "按记录设备"},
    "month": {"en": "by-month", "zh": "按月份"},
}
"""The folders of a view in both languages."""
_NOWHERE = {
    "case": {"en": "no-case", "zh": "未归案"},
    "officer": {"en": "unassigned", "zh": "待归属"},
    "recorder": {"en": "unregistered", "zh": "未登记"},
    "month": {"en": "time-unknown", "zh": "时间不明"},
}

Language = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class Built:
    """A finished view: how many recordings it shows, by how many links."""

    path: str
    recordings: int
    links: int


def build_view(
    register: Register, store: Path, folder: Path, *, station_no: str, zone: ZoneInfo, language: Language
) -> Built:
    """The view of everything that is recorded now stands in ``folder``, and nothing of an older one.

    Whoever looks meanwhile sees the old folders or the new ones. Raises BadValue for a folder in the
    store, NotEmpty for one that holds something else, ExportUnwritable.
    """
    folder = Path(os.path.realpath(folder))
    _refuse_store(folder, Path(os.path.realpath(store)))
    with _blaming(str(folder)), _taken(folder, station_no):
        for rest in (_BUILDING, _OLD):
            shutil.rmtree(folder / rest, ignore_errors=True)
        try:
            recordings = links = 0
            for row, places in _links(register, station_no, zone, language):
                target = os.path.realpath(store / str(row.location))
                links += sum(_link(folder / _BUILDING / place, target) for place in places)
                recordings += 1
            _swap(folder, language)
        finally:
            for rest in (_BUILDING, _OLD):
                shutil.rmtree(folder / rest, ignore_errors=True)
    return Built(str(folder), recordings, links)


def _refuse_store(folder: Path, store: Path) -> None:
    if folder == store or store in folder.parents or folder in store.parents:
        raise BadValue(what="DIR", value=folder, expected=_("a folder outside the store, which holds footage only"))


@contextmanager
def _blaming(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(error, path) from error


@contextmanager
def _taken(folder: Path, station_no: str) -> Iterator[None]:
    """``folder`` is a view of this station and nobody else builds in it. Raises NotEmpty."""
    _make_folder(folder)
    mark = folder / MARK
    if not mark.exists() and any(folder.iterdir()):
        raise NotEmpty(path=str(folder))
    fd = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps({"station_no": station_no}).encode() + b"\n", 0)
        yield
    finally:
        os.close(fd)


def _link(place: Path, target: str) -> bool:
    _make_folder(place.parent)
    os.symlink(target, place)
    return True


def _make_folder(folder: Path) -> None:
    """The folder and those above it that lack, all of them for the station's user and group only."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=FOLDER_MODE)


def _swap(folder: Path, language: Language) -> None:
    """The new folders take the places of the old ones, in whichever language those were."""
    (folder / _BUILDING).mkdir(mode=FOLDER_MODE, exist_ok=True)
    (folder / _OLD).mkdir(mode=FOLDER_MODE)
    for names in FOLDERS.values():
        (folder / _BUILDING / names[language]).mkdir(mode=FOLDER_MODE, exist_ok=True)
        for old in {*names.values()}:
            if os.path.lexists(folder / old):
                os.rename(folder / old, folder / _OLD / old)
        os.rename(folder / _BUILDING / names[language], folder / names[language])


# --- which links ------------------------------------------------------------------------------------------


def _links(
    register: Register, station_no: str, zone: ZoneInfo, language: Language
) -> Iterator[tuple[Row[*tuple[Any, ...]], list[str]]]:
    """Every recording in the station's own store with the places of its links."""
    with register.read() as session:
        cases = {case.case_no: case for case in session.scalars(select(CaseRow))}
        protected = _protected(session, cases)
    after = 0
    while True:
        with register.read() as session:
            rows = session.execute(_query(station_no, after)).all()
            names = officer_names(session, {cert_no for row in rows for cert_no in row.officers})
        if not rows:
            return
        after = rows[-1].id
        for row in rows:
            hidden = row.case_no in protected or is_protected(row.confidentiality)
            file = _file_name(row, zone, hidden)
            tops = {
                "case": [_case_folder(cases.get(row.case_no), row.case_no, row.case_no in protected)],
                "officer": [_name(f"{one} {names.get(one, '')}") for one in row.officers],
                "recorder": [_name(row.device_no or "")],
                "month": [_month(row, zone)],
            }
            yield row, list(_places(tops, file, language))


def _places(tops: Mapping[str, Sequence[str]], file: str, language: Language) -> Iterator[str]:
    for kind, folders in tops.items():
        for folder in [one for one in folders if one] or [_NOWHERE[kind][language]]:
            yield f"{FOLDERS[kind][language]}/{folder}/{file}"


def _query(station_no: str, after: int) -> Any:
    return (
        select(
            *(RecordRow.id, RecordRow.file_no, RecordRow.title, RecordRow.officers, RecordRow.case_no),
            *(RecordRow.used_from, RecordRow.confidentiality),
            RecorderRow.device_no,
            LocationRow.path.label("location"),
        )
        .join(FootageRow, FootageRow.id == RecordRow.footage_id)
        .join(LocationRow, LocationRow.id == newest_location(station_no))
        .outerjoin(RecorderRow, RecorderRow.id == RecordRow.recorder_id)
        .where(
            RecordRow.id > after, RecordRow.media_type.in_([media.value for media in MediaType if media.is_recording])
        )
        .order_by(RecordRow.id)
        .limit(_PAGE)
    )


def _protected(session: Session, cases: Mapping[str, CaseRow]) -> set[str]:
    """The cases that are protected themselves, or of which a record is."""
    said = session.execute(select(RecordRow.case_no, RecordRow.confidentiality).distinct())
    return {case_no for case_no, word in said if case_no and is_protected(word)} | {
        case_no for case_no, case in cases.items() if is_protected(case.confidentiality)
    }


# --- names ------------------------------------------------------------------------------------------------


def _case_folder(case: CaseRow | None, case_no: str | None, hidden: bool) -> str:
    """Number, cause and, where nothing protects them, parties."""
    if case is None:
        return _name(case_no or "")
    said = [case.case_no, case.case_cause, None if hidden else "、".join(case.parties)]
    return _name(" ".join(text for text in said if text))


def _file_name(row: Row[*tuple[Any, ...]], zone: ZoneInfo, hidden: bool) -> str:
    """Time of use, title and number, which no other file has."""
    at = f"{row.used_from.astimezone(zone):%Y%m%d-%H%M%S}" if row.used_from else ""
    said = _name(" ".join(text for text in (at, None if hidden else row.title) if text))
    extension = os.path.splitext(row.location)[1]
    return f"{said} {row.file_no}{extension}".strip()


def _month(row: Row[*tuple[Any, ...]], zone: ZoneInfo) -> str:
    at: datetime | None = row.used_from
    return f"{at.astimezone(zone):%Y-%m}" if at else ""


def _name(text: str) -> str:
    """``text`` as a name that every file system and every share takes, cut between characters."""
    plain = "".join(" " if _is_odd(c) else c for c in unicodedata.normalize("NFC", text))
    plain = " ".join(plain.split()).lstrip(". ")
    return plain.encode()[:_NAME_BYTES].decode(errors="ignore").rstrip(". ")


def _is_odd(c: str) -> bool:
    return c in '/\\:*?"<>|' or not c.isprintable()
