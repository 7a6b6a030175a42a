"""Keep what is said of footage beside it, readable for ever without dockd: an XMP file per revision.

Rendering and parsing are exact inverses, so that a lost register can be made again
from sidecars. The namespace is dockd's own (``NAMESPACE``, one row of ``PROPERTIES``
each); title, date, maker and model are repeated in the standard ones for other programs.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree as ET
from xml.parsers import expat

from dockd.errors import SidecarInvalid
from dockd.nouns import Hole, LateKind, MediaType, Officer, OwnerState, display_path

NAMESPACE = "https://dockd.org/ns/1.0/"
SCHEMA = "1"
LARGEST = 4 << 20

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_TIFF = "http://ns.adobe.com/tiff/1.0/"
_META = "adobe:ns:meta/"
_XML = "http://www.w3.org/XML/1998/namespace"
_PREFIXES = {"rdf": _RDF, "dc": _DC, "xmp": _XMP, "tiff": _TIFF, "x": _META, "dockd": NAMESPACE}

for _prefix, _uri in _PREFIXES.items():
    ET.register_namespace(_prefix, _uri)


@dataclass(frozen=True, slots=True)
class SidecarValues:
    """One revision of a record with the proof of its footage. None and () mean unknown or not applicable.

    Times must carry a zone. ``original_path`` and ``other_paths`` are raw bytes relative
    to the card's root (the others: names under which the same recording was seen too).
    """

    file_no: str
    revision: int
    record_id: int | None = None
    visit_id: int | None = None
    revised_at: datetime | None = None
    revised_by: str | None = None
    # article 27
    title: str | None = None
    device_no: str | None = None
    device_serial: str | None = None
    device_kind: str | None = None
    unit: str | None = None
    officers: tuple[Officer, ...] = ()
    owner_state: OwnerState | None = None
    officer_basis: str | None = None
    used_from: datetime | None = None
    used_to: datetime | None = None
    time_basis: str | None = None
    time_flags: tuple[str, ...] = ()
    party: tuple[str, ...] = ()
    case_cause: str | None = None
    case_no: str | None = None
    case_basis: str | None = None
    act_type: str | None = None
    stage: str | None = None
    step: str | None = None
    matter: str | None = None
    points: tuple[str, ...] = ()
    party_notified: str | None = None
    place: str | None = None
    method: str | None = None
    confidentiality: str | None = None
    retention_class: str | None = None
    retain_until: datetime | None = None
    is_evidence: bool | None = None
    important_mark: bool | None = None
    remark: str | None = None
    # the stored file and its proof
    original_path: bytes | None = None
    other_paths: tuple[bytes, ...] = ()
    media_type: MediaType | None = None
    location: str | None = None
    digest_algo: str | None = None
    digest: str | None = None
    size: int | None = None
    holes: tuple[Hole, ...] = ()
    verified_at: datetime | None = None
    # the visit and its judgement (article 23)
    station_no: str | None = None
    bay: str | None = None
    docked_at: datetime | None = None
    stored_at: datetime | None = None
    deadline_at: datetime | None = None
    late: bool | None = None
    late_kind: LateKind | None = None
    exception_reason: str | None = None
    # what the file says of itself
    container: str | None = None
    duration_s: float | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    width: int | None = None
    height: int | None = None
    make: str | None = None
    model: str | None = None
    gps_position: str | None = None
    problems: tuple[str, ...] = ()


# --- how values are written ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Form:
    """How one kind of value stands in the file: ``name`` for the documentation, and both directions."""

    name: str
    write: Callable[[Any], str]
    read: Callable[[str], Any]


def _write_time(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone cannot stand in a sidecar: {moment}")
    return moment.isoformat()


def _read_time(written: str) -> datetime:
    moment = datetime.fromisoformat(written)
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {written}")
    return moment


def _read_hole(written: str) -> Hole:
    offset, _, length = written.partition("+")
    return Hole(int(offset), int(length))


def _read_flag(written: str) -> bool:
    return {"True": True, "False": False}[written]


_TEXT = Form("text", str, str)
_INTEGER = Form("integer", str, int)
_REAL = Form("real", lambda number: repr(float(number)), float)
_BOOLEAN = Form("boolean", lambda flag: str(bool(flag)), _read_flag)
_TIME = Form("date", _write_time, _read_time)
_HOLE = Form("offset+length", lambda hole: f"{hole.offset}+{hole.length}", _read_hole)
_RAW = Form("base64", lambda raw: base64.b64encode(raw).decode(), lambda text: base64.b64decode(text, validate=True))
_MEDIA = Form("text", lambda kind: kind.value, MediaType)
_OWNER = Form("text", lambda state: state.value, OwnerState)
_LATE = Form("text", lambda kind: kind.value, LateKind)


@dataclass(frozen=True, slots=True)
class Property:
    """One row of the namespace: a field of ``SidecarValues``, its name in the file, its form and meaning."""

    field: str
    name: str
    form: Form
    meaning: str
    many: bool = False


PROPERTIES = (
    Property("file_no", "fileNo", _TEXT, "number of the stored file"),
    Property("revision", "revision", _INTEGER, "revision of the record, from 1"),
    Property("record_id", "recordId", _INTEGER, "record in the register"),
    Property("visit_id", "visitId", _INTEGER, "visit (one stay in the dock) in the register"),
    Property("revised_at", "revisedAt", _TIME, "when this revision was made"),
    Property("revised_by", "revisedBy", _TEXT, "who made it: person:NAME, or dockd"),
    Property("title", "title", _TEXT, "名称, title of the record; also dc:title"),
    Property("device_no", "deviceNo", _TEXT, "记录设备编号, the bureau's number of the recorder"),
    Property("device_serial", "deviceSerial", _TEXT, "设备序列号, the maker's number"),
    Property("device_kind", "deviceKind", _TEXT, "设备种类"),
    Property("unit", "unit", _TEXT, "单位"),
    Property("owner_state", "ownerState", _OWNER, "归属状态: assigned, unassigned, conflict"),
    Property("officer_basis", "officerBasis", _TEXT, "what the officer was concluded from"),
    Property("used_from", "usedFrom", _TIME, "使用开始时间; also xmp:CreateDate"),
    Property("used_to", "usedTo", _TIME, "使用结束时间"),
    Property("time_basis", "timeBasis", _TEXT, "时间依据, witnesses that agree, best first"),
    Property("time_flags", "timeFlags", _TEXT, "witnesses not used, and why", many=True),
    Property("party", "party", _TEXT, "案件当事人", many=True),
    Property("case_cause", "caseCause", _TEXT, "案由名称"),
    Property("case_no", "caseNo", _TEXT, "案件编号"),
    Property("case_basis", "caseBasis", _TEXT, "what the case was concluded from"),
    Property("act_type", "actType", _TEXT, "执法类别"),
    Property("stage", "stage", _TEXT, "执法环节"),
    Property("step", "step", _TEXT, "执法步骤 (articles 8 and 10)"),
    Property("matter", "matter", _TEXT, "记录事项"),
    Property("points", "points", _TEXT, "what of article 21's list was recorded", many=True),
    Property("party_notified", "partyNotified", _TEXT, "the party was told: yes, no, unknown (article 25)"),
    Property("place", "place", _TEXT, "记录地点"),
    Property("method", "method", _TEXT, "记录方式"),
    Property("confidentiality", "confidentiality", _TEXT, "密级"),
    Property("retention_class", "retentionClass", _TEXT, "保存类别"),
    Property("retain_until", "retainUntil", _TIME, "保存期限至, the beginning of the last day"),
    Property("is_evidence", "isEvidence", _BOOLEAN, "作为证据"),
    Property("important_mark", "importantMark", _BOOLEAN, "重点标记, marked on the recorder"),
    Property("remark", "remark", _TEXT, "备注"),
    Property("original_path", "originalPathBase64", _RAW, "原始文件名, path on the card, its bytes"),
    Property("other_paths", "otherPathsBase64", _RAW, "other names of the same recording on the card", many=True),
    Property("media_type", "mediaType", _MEDIA, "媒体类型: video, audio, photo, log …"),
    Property("location", "location", _TEXT, "存储位置, relative to the store's root"),
    Property("digest_algo", "digestAlgo", _TEXT, "校验算法"),
    Property("digest", "digest", _TEXT, "校验值 of the stored file, hexadecimal"),
    Property("size", "size", _INTEGER, "大小, bytes of the stored file"),
    Property(
        "holes",
        "holes",
        _HOLE,
        "ranges that could not be read from the card: zeros and part of the digest, "
        "or beyond the end of the stored file",
        many=True,
    ),
    Property("verified_at", "verifiedAt", _TIME, "校验时间, when it was read back from the medium"),
    Property("station_no", "stationNo", _TEXT, "采集站编号"),
    Property("bay", "bay", _TEXT, "采集口"),
    Property("docked_at", "dockedAt", _TIME, "接入时间"),
    Property("stored_at", "storedAt", _TIME, "储存时间"),
    Property("deadline_at", "deadlineAt", _TIME, "储存时限 (article 23)"),
    Property("late", "late", _BOOLEAN, "是否超时; absent where unknown or pending"),
    Property("late_kind", "lateKind", _LATE, "超时类别: docked, stored"),
    Property("exception_reason", "exceptionReason", _TEXT, "例外事由 (article 23, paragraph 2)"),
    Property("container", "container", _TEXT, "container as ffprobe names it"),
    Property("duration_s", "duration", _REAL, "时长, seconds"),
    Property("video_codec", "videoCodec", _TEXT, "codec of the first picture stream"),
    Property("audio_codec", "audioCodec", _TEXT, "codec of the first sound stream"),
    Property("width", "width", _INTEGER, "picture width, pixels"),
    Property("height", "height", _INTEGER, "picture height, pixels"),
    Property("make", "make", _TEXT, "maker of the recorder as the file says; also tiff:Make"),
    Property("model", "model", _TEXT, "model as the file says; also tiff:Model"),
    Property("gps_position", "gpsPosition", _TEXT, "latitude and longitude, degrees, as the file says"),
    Property("problems", "problems", _TEXT, "what is wrong with the file: truncated, no_index …", many=True),
)

_OFFICER = (("cert_no", "certNo"), ("name", "name"), ("badge", "badge"), ("unit", "unit"))

# XML 1.0 cannot hold these at all, or (carriage return) not unchanged. What looks like the
# escape is escaped too, so that every text comes back as it was.
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]|\\(?=u\{)")
_ESCAPE = re.compile(r"\\u\{([0-9a-f]{1,6})\}")


def _escape(text: str) -> str:
    return _UNWRITABLE.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text)


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


# --- rendering -------------------------------------------------------------------------------------------


def render_sidecar(values: SidecarValues) -> bytes:
    """The sidecar as well-formed XMP in UTF-8: the same values always give the same bytes.

    Raises ValueError for a time without a zone; any text can be written (what XML cannot
    hold stands as ``\\u{hex}``).
    """
    meta = ET.Element(_name(_META, "xmpmeta"), {_name(_META, "xmptk"): "dockd"})
    about = ET.SubElement(ET.SubElement(meta, _name(_RDF, "RDF")), _name(_RDF, "Description"))
    about.set(_name(_RDF, "about"), "")
    _add(about, _name(NAMESPACE, "schema"), SCHEMA)
    for row in PROPERTIES:
        _add_property(about, row, getattr(values, row.field))
    _add_officers(about, values.officers)
    _add_readable(about, values)
    ET.indent(meta, " ")
    body = ET.tostring(meta, encoding="unicode")
    packet = f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{body}\n<?xpacket end="r"?>\n'
    return packet.encode()


def _add_property(about: ET.Element, row: Property, value: Any) -> None:
    name = _name(NAMESPACE, row.name)
    if not row.many:
        if value is not None:
            _add(about, name, row.form.write(value))
    elif value:
        items = ET.SubElement(ET.SubElement(about, name), _name(_RDF, "Seq"))
        for each in value:
            _add(items, _name(_RDF, "li"), row.form.write(each))


def _add_officers(about: ET.Element, officers: tuple[Officer, ...]) -> None:
    if not officers:
        return
    items = ET.SubElement(ET.SubElement(about, _name(NAMESPACE, "officers")), _name(_RDF, "Seq"))
    for officer in officers:
        item = ET.SubElement(items, _name(_RDF, "li"), {_name(_RDF, "parseType"): "Resource"})
        for field, name in _OFFICER:
            value = getattr(officer, field)
            if value is not None:
                _add(item, _name(NAMESPACE, name), value)


def _add_readable(about: ET.Element, values: SidecarValues) -> None:
    """What people and other programs read; nothing of it is read back."""
    if values.original_path is not None:
        _add(about, _name(NAMESPACE, "originalPath"), display_path(values.original_path))
    if values.title is not None:
        alternatives = ET.SubElement(ET.SubElement(about, _name(_DC, "title")), _name(_RDF, "Alt"))
        _add(alternatives, _name(_RDF, "li"), values.title).set(_name(_XML, "lang"), "x-default")
    if values.used_from is not None:
        _add(about, _name(_XMP, "CreateDate"), _write_time(values.used_from))
    for name, value in (("Make", values.make), ("Model", values.model)):
        if value is not None:
            _add(about, _name(_TIFF, name), value)


def _add(parent: ET.Element, name: str, text: str) -> ET.Element:
    child = ET.SubElement(parent, name)
    child.text = _escape(text)
    return child


def _name(namespace: str, name: str) -> str:
    return f"{{{namespace}}}{name}"


# --- parsing ---------------------------------------------------------------------------------------------


def parse_sidecar(data: bytes) -> SidecarValues:
    """What ``render_sidecar`` was given. Properties that this version does not know are passed over.

    Raises ``SidecarInvalid`` for anything else than such a file; a DOCTYPE (and with it
    every entity) is refused before anything is expanded.
    """
    try:
        _refuse_doctype(data)
        about = _description(ET.fromstring(data))  # noqa: S314
        found = {row.field: _read_property(about, row) for row in PROPERTIES}
        officers = tuple(_read_officers(about))
        if found["file_no"] is None or found["revision"] is None:
            raise ValueError("file number or revision is missing")
        return SidecarValues(**found, officers=officers)
    except (ET.ParseError, expat.ExpatError, ValueError, KeyError, OverflowError) as error:
        raise SidecarInvalid(reason=str(error)) from error


def _refuse_doctype(data: bytes) -> None:
    if len(data) > LARGEST:
        raise ValueError(f"larger than {LARGEST} bytes")

    def refuse(*_: object) -> NoReturn:
        raise ValueError("a DOCTYPE is not allowed")

    # The encoding is fixed: another would hide a DOCTYPE from one of the two readers.
    reader = expat.ParserCreate("utf-8")
    reader.StartDoctypeDeclHandler = refuse
    reader.Parse(data, True)


def _description(meta: ET.Element) -> ET.Element:
    for about in meta.iter(_name(_RDF, "Description")):
        if about.findtext(_name(NAMESPACE, "schema")) == SCHEMA:
            return about
    raise ValueError(f"no description of schema {SCHEMA} in {NAMESPACE}")


def _read_property(about: ET.Element, row: Property) -> Any:
    element = about.find(_name(NAMESPACE, row.name))
    if row.many:
        items = () if element is None else element.iterfind(f"{_name(_RDF, 'Seq')}/{_name(_RDF, 'li')}")
        return tuple(row.form.read(_text(item)) for item in items)
    return None if element is None else row.form.read(_text(element))


def _read_officers(about: ET.Element) -> Iterator[Officer]:
    way = (_name(NAMESPACE, "officers"), _name(_RDF, "Seq"), _name(_RDF, "li"))
    for item in about.iterfind("/".join(way)):
        parts = {field: item.find(_name(NAMESPACE, name)) for field, name in _OFFICER}
        texts = {field: None if part is None else _text(part) for field, part in parts.items()}
        cert_no, name = texts["cert_no"], texts["name"]
        if cert_no is None or name is None:
            raise ValueError("an officer without number or name")
        yield Officer(cert_no=cert_no, name=name, badge=texts["badge"], unit=texts["unit"])


def _text(element: ET.Element) -> str:
    return _unescape(element.text or "")


# --- on disk ---------------------------------------------------------------------------------------------


def sidecar_name(file_name: str, revision: int) -> str:
    """``<file>.xmp`` for the first revision, ``<file>.r2.xmp`` … for those after it."""
    if revision < 1:
        raise ValueError(f"revisions count from 1, not {revision}")
    return f"{file_name}.xmp" if revision == 1 else f"{file_name}.r{revision}.xmp"


def write_sidecar(path: Path, data: bytes) -> str:
    """Put a sidecar at ``path``, mode 0440, durable with its name on return; gives its SHA-256 in hex.

    Writing the same bytes again is no error, so that a visit that was cut off can be
    finished. Raises FileExistsError where other bytes stand there already (they are kept),
    OSError for the store's trouble. A crash leaves at most ``<path>.part``, which the next
    call removes; one process at a time writes a given sidecar.
    """
    temp = path.with_name(path.name + ".part")
    try:
        if not _stands(path, data):
            _write_new(temp, data)
            _move_into_place(temp, path, data)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temp.unlink()
    _sync_name(path)  # a row promises its name; its bytes were synced before it got one
    return hashlib.sha256(data).hexdigest()


def _stands(path: Path, data: bytes) -> bool:
    """Whether ``path`` holds ``data``; raises FileExistsError where it holds something else."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        raise
    with os.fdopen(fd, "rb") as file:
        if file.read(len(data) + 1) == data:
            return True
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def _write_new(temp: Path, data: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        temp.unlink()
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o440)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, 0o440)
        file.write(data)
        # A name promises whole bytes: these, before they get theirs.
        file.flush()
        os.fsync(fd)


def _move_into_place(temp: Path, path: Path, data: bytes) -> None:
    try:
        os.link(temp, path, follow_symlinks=False)
    except FileExistsError:
        _stands(path, data)
    except OSError as error:
        # No hard links there (FAT, some network shares): rename, after one more look.
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        if not _stands(path, data):
            os.rename(temp, path)


def _sync_name(path: Path) -> None:
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
