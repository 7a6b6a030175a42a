"""What ffprobe and exiftool answered, as ``MediaFacts``: nothing in an answer is taken on trust.

Pure. A field that is missing, of another type, out of any sensible range or garbled
becomes None; no answer raises. ``to_wire`` and ``from_wire`` carry facts between the
confined child and its caller, who believes the child no more than the file.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from dockd.nouns import MediaFacts

Answer = Mapping[str, Any]

LONGEST_TEXT = 256
LONGEST_RECORDING_S = 30 * 24 * 3600
WIDEST = 65_536

DAMAGED, UNEXAMINED = "media:", "probe:"
"""How a remark begins that says what is wrong with a recording, or why it could not be looked at."""
_NOT_THE_FILES = frozenset({"probe_timeout", "probe_failed", "tools_missing", "unsafe_name"})

# Only what is used is asked for. XMP is left out: its dates are an editor's, with the editor's zone.
TAGS = (
    *("File:FileType", "File:MIMEType", "ImageWidth", "ImageHeight", "Duration#"),
    *("QuickTime:CreationDate", "QuickTime:DateTimeOriginal", "QuickTime:ContentCreateDate", "H264:DateTimeOriginal"),
    *("QuickTime:CreateDate", "QuickTime:MediaCreateDate", "RIFF:DateTimeOriginal", "Matroska:DateTimeOriginal"),
    *("ASF:CreationDate", "EXIF:DateTimeOriginal", "EXIF:CreateDate", "EXIF:OffsetTimeOriginal", "EXIF:OffsetTime"),
    *("EXIF:GPSDateStamp", "EXIF:GPSTimeStamp", "QuickTime:GPSDateTime", "Composite:GPSPosition#"),
    *("QuickTime:GPSCoordinates#", "Make", "Model"),
    *("SerialNumber", "InternalSerialNumber", "CameraSerialNumber"),
)

_ZONED_TAGS = (
    "QuickTime:CreationDate",
    "QuickTime:DateTimeOriginal",
    "QuickTime:ContentCreateDate",
    "H264:DateTimeOriginal",
)
_ZONED_PROBE = ("com.apple.quicktime.creationdate", "date")
_UTC_TAGS = ("QuickTime:CreateDate", "QuickTime:MediaCreateDate")
_CREATED_TAGS = ("EXIF:DateTimeOriginal", "EXIF:CreateDate", "RIFF:DateTimeOriginal", "ASF:CreationDate")
_SERIALS = ("SerialNumber", "InternalSerialNumber", "CameraSerialNumber")
_DATE = re.compile(
    r"(\d{4})[-:/](\d\d)[-:/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?\s*(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
_CODE = re.compile(r"[a-z_]{1,32}", re.ASCII)


def describe(probe: Answer | None, tags: Answer | None, problems: tuple[str, ...] = ()) -> MediaFacts:
    """Both parsers' answers as one value; either may be None where the parser had nothing to say.

    ``probe`` is ffprobe's JSON object, ``tags`` one object of ``exiftool -j -G`` asked for ``TAGS``.
    """
    facts = MediaFacts(problems=problems)
    if probe:
        facts = _from_probe(facts, probe)
    return _from_tags(facts, tags) if tags else facts


def remark_on(problem: str) -> str:
    """The code of a problem in a record's remark: a busy machine or a missing tool is no damage of the file."""
    return f"{UNEXAMINED if problem in _NOT_THE_FILES else DAMAGED}{problem.removeprefix('probe_')}"


def is_media(tags: Answer | None) -> bool:
    """Whether exiftool takes the file for a picture, a sound or a film."""
    kind = text(tags.get("File:MIMEType")) if tags else None
    return bool(kind) and str(kind).startswith(("video/", "audio/", "image/"))


# --- ffprobe ---------------------------------------------------------------------------------------


def _from_probe(facts: MediaFacts, probe: Answer) -> MediaFacts:
    form = _mapping(probe.get("format"))
    listed = probe.get("streams")
    streams = [_mapping(stream) for stream in listed] if isinstance(listed, list) else []
    video = next((s for s in streams if s.get("codec_type") == "video" and not _is_cover(s)), {})
    audio = next((s for s in streams if s.get("codec_type") == "audio"), {})
    labels = _mapping(form.get("tags"))
    raw = _first_date([labels, *(_mapping(s.get("tags")) for s in (video, audio, *streams))])
    return replace(
        facts,
        container=text(form.get("format_name")),
        duration_s=seconds(form.get("duration")),
        video_codec=text(video.get("codec_name")),
        audio_codec=text(audio.get("codec_name")),
        width=_extent(video.get("width")),
        height=_extent(video.get("height")),
        created_raw=raw,
        created=as_utc(raw),
        zoned=next((z for key in _ZONED_PROBE if (z := zoned(labels.get(key)))), None),
        make=text(labels.get("com.apple.quicktime.make") or labels.get("com.android.manufacturer")),
        model=text(labels.get("com.apple.quicktime.model") or labels.get("com.android.model")),
    )


def _is_cover(stream: Answer) -> bool:
    return bool(_mapping(stream.get("disposition")).get("attached_pic"))


def _first_date(labels: list[Answer]) -> str | None:
    # A time of day alone (Broadcast WAV) is no date: exiftool has the whole of it.
    written = (text(each.get("creation_time")) for each in labels)
    return next((raw for raw in written if raw and as_utc(raw)), None)


# --- exiftool --------------------------------------------------------------------------------------


def _from_tags(facts: MediaFacts, tags: Answer) -> MediaFacts:
    raw = facts.created_raw or next(_created(tags), None)
    return replace(
        facts,
        container=facts.container or _lower(text(tags.get("File:FileType"))),
        duration_s=facts.duration_s if facts.duration_s is not None else seconds(_tag(tags, "Duration")),
        width=facts.width or _extent(_tag(tags, "ImageWidth")),
        height=facts.height or _extent(_tag(tags, "ImageHeight")),
        created_raw=raw,
        created=as_utc(raw),
        zoned=_exif_zoned(tags) or next((z for tag in _ZONED_TAGS if (z := zoned(tags.get(tag)))), facts.zoned),
        gps_time=_gps_time(tags),
        gps_position=_position(tags),
        make=text(_tag(tags, "Make")) or facts.make,
        model=text(_tag(tags, "Model")) or facts.model,
        serial=next((s for name in _SERIALS if (s := _serial(tags, name))), None),
    )


def _created(tags: Answer) -> Iterator[str]:
    """The container's own date where ffprobe gave none: also a zero, which says "never set"."""
    for tag in _UTC_TAGS:
        if raw := text(tags.get(tag)):
            # The format defines these as UTC; without the mark they would read as a wall clock.
            yield raw if zoned(raw) or not as_utc(raw) else raw + "Z"
    for tag in _CREATED_TAGS:
        if raw := text(tags.get(tag)):
            yield raw


def _exif_zoned(tags: Answer) -> datetime | None:
    taken = text(tags.get("EXIF:DateTimeOriginal"))
    offset = text(tags.get("EXIF:OffsetTimeOriginal")) or text(tags.get("EXIF:OffsetTime"))
    return zoned(taken + offset) if taken and offset and not zoned(taken) else zoned(taken)


def _gps_time(tags: Answer) -> datetime | None:
    day, clock = text(tags.get("EXIF:GPSDateStamp")), text(tags.get("EXIF:GPSTimeStamp"))
    return as_utc(f"{day} {clock}") if day and clock else zoned(tags.get("QuickTime:GPSDateTime"))


def _position(tags: Answer) -> str | None:
    for name in ("GPSPosition", "GPSCoordinates"):
        parts = str(_tag(tags, name) or "").split()[:2]
        try:
            latitude, longitude = (float(part) for part in parts)
        except ValueError:
            continue
        # 0 0 is what a receiver without a fix writes.
        if abs(latitude) <= 90 and abs(longitude) <= 180 and (latitude or longitude):
            return f"{latitude:.6f} {longitude:.6f}"
    return None


def _serial(tags: Answer, name: str) -> str | None:
    serial = text(_tag(tags, name))
    return None if serial is None or not serial.strip("0 -") else serial


def _tag(tags: Answer, name: str) -> object:
    """A tag of any group, whether or not it was asked for with ``#``."""
    for key, value in tags.items():
        if str(key).rpartition(":")[2].rstrip("#") == name:
            return value
    return None


# --- single values ---------------------------------------------------------------------------------


def text(value: object) -> str | None:
    """A parser's string without anything that moves a cursor, at most ``LONGEST_TEXT`` long; else None."""
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return None
    shown = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in str(value)[: 4 * LONGEST_TEXT])
    return " ".join(shown.split())[:LONGEST_TEXT].strip() or None


def seconds(value: object) -> float | None:
    """A duration in seconds that a recording can have; ``N/A``, nan, negative and absurd ones are None."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        duration = float(value)
    except (ValueError, OverflowError):
        return None
    return duration if math.isfinite(duration) and 0 <= duration <= LONGEST_RECORDING_S else None


def as_utc(raw: object) -> datetime | None:
    """A written date read as UTC unless it carries an offset of its own; None where it is no date."""
    return _read_date(raw, UTC)


def zoned(raw: object) -> datetime | None:
    """A written date only if it says its own offset, which is kept."""
    return _read_date(raw, None)


def _read_date(raw: object, default: timezone | None) -> datetime | None:
    match = _DATE.fullmatch(raw.strip()) if isinstance(raw, str) and len(raw) <= LONGEST_TEXT else None
    zone = (_offset(match[8]) if match[8] else default) if match else None
    if match is None or zone is None:
        return None
    try:
        year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
        wall = datetime(year, month, day, hour, minute, second, tzinfo=zone)
        # Rules out offsets that push a date out of the calendar later on.
        wall.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return wall.replace(microsecond=int((match[7] or "0")[:6].ljust(6, "0")))


def _offset(written: str) -> timezone | None:
    if written == "Z":
        return UTC
    shift = timedelta(hours=int(written[1:3]), minutes=int(written[-2:]))
    return timezone(-shift if written[0] == "-" else shift) if shift < timedelta(hours=15) else None


def _extent(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= WIDEST else None


def _lower(value: str | None) -> str | None:
    return value.lower() if value else None


def _mapping(value: object) -> Answer:
    return value if isinstance(value, Mapping) else {}


# --- between child and caller ----------------------------------------------------------------------

_TIMES = frozenset(("created", "zoned", "gps_time"))
_EXTENTS = frozenset(("width", "height"))


def to_wire(facts: MediaFacts) -> dict[str, object]:
    """Facts as a JSON object."""
    values = ((f.name, getattr(facts, f.name)) for f in fields(facts))
    return {n: v.isoformat() if isinstance(v, datetime) else v for n, v in values if v is not None and v != ()}


def from_wire(answer: object) -> MediaFacts:
    """Facts from a child's JSON object; each value is checked anew, since a parser may have been taken over."""
    wire = _mapping(answer)
    known = {f.name: _checked(f.name, wire.get(f.name)) for f in fields(MediaFacts) if f.name != "problems"}
    codes = wire.get("problems")
    problems = [c for c in codes if isinstance(c, str) and _CODE.fullmatch(c)][:16] if isinstance(codes, list) else []
    return MediaFacts(**known, problems=tuple(problems))


def _checked(name: str, value: object) -> Any:
    if name in _TIMES:
        return zoned(value)
    if name in _EXTENTS:
        return _extent(value)
    return seconds(value) if name == "duration_s" else text(value)
