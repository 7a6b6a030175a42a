"""YAML in, one frozen validated object out: the station's configuration, or one ConfigInvalid that names the line.

Nothing is guessed: unknown and duplicate keys, wrong types and impossible values are
refused with file, line, dotted key, what is wrong and what is expected. Relative paths
are relative to the file's folder and come out absolute.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from dockd import yamlfile
from dockd.errors import ConfigInvalid, ConfigUnreadable
from dockd.locale import N_, _
from dockd.nouns import INVENTORY_COLUMNS, TITLE_FIELDS, UNCLASSIFIED, Keep, RetentionRule
from dockd.yamlfile import Keys, Yaml

ARTICLE_23 = (
    "音像记录完成后，行政执法人员应当在二十四小时内将音像记录信息储存至所在机关的行政执法信息系统或者指定的存储设备"
)
"""The sentence of article 23(1) of the regulation, as it stands there."""

STATION_NO = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,31}")
UNITS = {"": 1, "B": 1} | {
    prefix + unit: base**power for power, prefix in enumerate("KMGT", 1) for unit, base in (("B", 1000), ("IB", 1024))
}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def refuse(problem: str) -> PydanticCustomError:
    """A refusal whose words reach the person as they are."""
    return PydanticCustomError("refused", "{problem}", {"problem": problem})


def shown(value: object) -> str:
    """A value as a person finds it in the file, shortened."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return "".join(c if c.isprintable() else "?" for c in text[:60]) + ("…" if len(text) > 60 else "")


# --- values -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reserve:
    """Space of the store that stays free: so many bytes, or a part of the whole."""

    size: int = 0
    percent: float = 0

    def of(self, total_bytes: int) -> int:
        """The reserve in bytes on a file system of ``total_bytes``."""
        return self.size or int(total_bytes * self.percent / 100)


def parse_size(value: object) -> int:
    """``20GiB``, ``500 MB``, ``4096`` → bytes."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,3})?)\s*([A-Za-z]{0,3})", value) if isinstance(value, str) else None
    if match is None or match[2].upper() not in UNITS:
        raise refuse(_("{value} is not a size").format(value=shown(value)))
    return int(float(match[1]) * UNITS[match[2].upper()])


def parse_reserve(value: object) -> Reserve:
    """``20GiB``, ``5%`` or ``0`` → Reserve."""
    if isinstance(value, Reserve):
        return value
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?)\s*%", value) if isinstance(value, str) else None
    if match is None:
        return Reserve(size=parse_size(value))
    if float(match[1]) > 90:
        raise refuse(_("{value} would leave no room for footage").format(value=shown(value)))
    return Reserve(percent=float(match[1]))


def parse_duration(value: object) -> timedelta:
    """``4h``, ``90m``, ``7d`` → timedelta."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d{1,6})\s*([smhd])", value) if isinstance(value, str) else None
    if match is None:
        raise refuse(_("{value} is not a length of time").format(value=shown(value)))
    return timedelta(seconds=int(match[1]) * SECONDS[match[2]])


def parse_keep(value: object) -> Keep:
    """``permanent``, ``6 months``, ``3 years``, ``90 days`` and the same in Chinese → Keep."""
    if isinstance(value, Keep):
        return value
    text = value.strip().lower() if isinstance(value, str) else ""
    if text in ("permanent", "永久"):
        return Keep()
    match = re.fullmatch(r"([1-9]\d{0,3})\s*(days?|months?|years?|天|日|个月|月|年)", text)
    if match is None:
        raise refuse(_("{value} is not a period of retention").format(value=shown(value)))
    number, unit = int(match[1]), match[2].rstrip("s")
    if unit in ("day", "天", "日"):
        return Keep(days=number)
    return Keep(months=number * (12 if unit in ("year", "年") else 1))


def _optional_file(value: object, info: ValidationInfo) -> Path | None:
    return None if value in (None, "") else _absolute(value, info)


def _words(value: object) -> object:
    """One word or a list of words."""
    return (value,) if isinstance(value, str) else _as_tuple(value)


def parse_holidays(value: object) -> tuple[tuple[date, date], ...]:
    """``[2027-01-01, 2026-10-01/2026-10-07]`` → first and last days, in order."""
    if not isinstance(value, list | tuple):
        raise refuse(_("{value} is not a list of days").format(value=shown(value)))
    return tuple(sorted(map(_holiday, value)))


def _holiday(value: object) -> tuple[date, date]:
    if isinstance(value, tuple):
        return value
    first, _slash, last = str(value).partition("/")
    try:
        begin, end = date.fromisoformat(first.strip()), date.fromisoformat((last or first).strip())
    except ValueError:
        raise refuse(_("{value} is not a day").format(value=shown(value))) from None
    if end < begin:
        raise refuse(_("{value} ends before it begins").format(value=shown(value)))
    return begin, end


def _printable(text: str) -> str:
    if not text.isprintable():
        raise refuse(_("the text holds a control character"))
    return text


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise refuse(_("there is no time zone {value}").format(value=shown(name))) from None
    return name


def _station_no(text: str) -> str:
    if not STATION_NO.fullmatch(text):
        raise refuse(_("{value} cannot be a station number").format(value=shown(text)))
    return text


def _absolute(value: object, info: ValidationInfo) -> Path:
    """A path made absolute against the folder of the configuration file."""
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        raise refuse(_("{value} is not a path").format(value=shown(value)))
    return Path(os.path.normpath(_folder(info) / Path(value).expanduser()))


def _absolute_or_none(value: object, info: ValidationInfo) -> Path | None:
    return None if value is None or value == "" else _absolute(value, info)


def _folder(info: ValidationInfo) -> Path:
    return Path((info.context or {}).get("folder", "/etc/dockd"))


def _register_url(value: object, info: ValidationInfo) -> str:
    """An absolute SQLAlchemy URL: a relative SQLite path is relative to the file, psycopg 3 is said aloud."""
    if isinstance(value, str) and (match := re.fullmatch(r"sqlite:///([^?#\0]+)", value)):
        return f"sqlite:///{_absolute(match[1], info)}"
    if isinstance(value, str) and (match := re.fullmatch(r"postgres(?:ql)?(?:\+psycopg)?(://[^\s\0]+)", value)):
        return f"postgresql+psycopg{match[1]}" if _is_url(value) else _not_a_register(value)
    return _not_a_register(value)


def _is_url(value: str) -> bool:
    try:
        return urlsplit(value).port is None or True
    except ValueError:
        return False


def _not_a_register(value: object) -> str:
    # The value may hold a password: it is not repeated.
    del value
    raise refuse(_("this is not the address of a register"))


def _warnings(values: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    return tuple(sorted(set(values), reverse=True))


def _title(template: str) -> str:
    """Refuse what ``str.format`` would do beyond filling in the fields of a title."""
    rest = re.sub(r"\{(\w+)\}", "", template)
    if "{" in rest or "}" in rest:
        raise refuse(_("a brace stands alone in {value}").format(value=shown(template)))
    unknown = [name for name in re.findall(r"\{(\w+)\}", template) if name not in TITLE_FIELDS]
    if unknown:
        raise refuse(_("a title has no field {value}").format(value="{" + unknown[0] + "}"))
    if not template.strip() or len(template) > 200 or any(ord(c) < 0x20 for c in template):
        raise refuse(_("a title cannot be made from {value}").format(value=shown(template)))
    return template


def _glob(text: str) -> str:
    """Refuse what would mean something else in a rule of udev than in a pattern of names."""
    if not text.isprintable() or set(text) & set('"\\|[]$%'):
        raise refuse(_("{value} cannot be a pattern").format(value=shown(text)))
    return text


def _says_something(kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
    for kind in kinds:
        if not "".join(filter(None, kind.model_dump().values())).strip("*?") and kind.bay is None:
            raise refuse(_("every disk would be taken for a recorder"))
    return kinds


def _column(name: str) -> str:
    if name not in INVENTORY_COLUMNS:
        raise refuse(_("the inventory has no column {value}").format(value=shown(name)))
    return name


def _hours(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value > 24:
        problem = _("{value} hours are more than article 23 allows: “{article}”")
        raise refuse(problem.format(value=value, article=ARTICLE_23))
    return value


def _rate(value: object) -> int | None:
    return None if value is None else parse_size(value) or None


def _secret(value: object) -> str | None:
    """A text that may hold a password or a token: it is not repeated in any message."""
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > 2000 or not value.isprintable():
        raise refuse(_("this is not a text that can stand here"))
    return value.strip()


def _channel(value: object) -> object:
    """``journal`` is short for a channel of that name and kind."""
    if value == "journal":
        return {"name": "journal", "kind": "journal"}
    if isinstance(value, dict | Section):
        return value
    raise refuse(_("{value} is not possible").format(value=shown(value)))


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Size = Annotated[int, BeforeValidator(parse_size)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
FilePath = Annotated[Path, BeforeValidator(_absolute)]
Text = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
Words = Annotated[tuple[Text, ...], BeforeValidator(_words)]
Headers = Literal["en", "zh"]
UsbId = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{4}$")]
Glob = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_glob)]
Named = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"


# --- the file, key by key -----------------------------------------------------------------------


class Section(BaseModel):
    """One mapping of the file. A field's description is what is expected there, as a msgid."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)


class Agency(Section):
    """The agency and its station."""

    name: Text = Field("", description=N_("the agency's name, in quotes"))
    station_no: Annotated[str, AfterValidator(_station_no)] = Field(
        "station-1",
        description=N_("1 to 32 letters A–Z, digits, '.', '_' or '-', not beginning with '.', in quotes"),
    )
    timezone: Annotated[str, AfterValidator(_known_zone)] = Field(
        "Asia/Shanghai", description=N_("a time zone such as Asia/Shanghai")
    )
    language: Headers = Field("zh", description=N_("zh (Chinese) or en (English)"))
    designated_storage: bool = Field(True, description=N_("true or false"))


class Store(Section):
    """Where footage is kept."""

    root: FilePath = Field(
        Path("/var/lib/dockd/store"),
        description=N_("a folder of its own for footage, absolute or relative to this file"),
    )
    reserve: Annotated[Reserve, PlainValidator(parse_reserve)] = Field(
        Reserve(percent=5), description=N_("a size such as 20GiB, a part such as 5%, or 0 for none")
    )
    quarantine_days: int = Field(0, ge=0, le=36500, description=N_("days from 1 to 36500, or 0 for ever"))


class RegisterPlace(Section):
    """Where what is remembered is kept."""

    url: Annotated[str, PlainValidator(_register_url)] = Field(
        "sqlite:////var/lib/dockd/register.db",
        description=N_("sqlite:///register.db (relative), sqlite:////path/register.db or postgresql://host/database"),
    )
    wait_s: float = Field(30, gt=0, le=3600, description=N_("seconds between 1 and 3600"))


class Deadline(Section):
    """Article 23's clock."""

    hours: Annotated[int, BeforeValidator(_hours)] = Field(24, ge=1, le=24, description=N_("whole hours from 1 to 24"))
    warn_before: Annotated[tuple[Duration, ...], BeforeValidator(_as_tuple), AfterValidator(_warnings)] = Field(
        (timedelta(hours=4), timedelta(hours=1)), description=N_("a list of times such as [4h, 90m]")
    )


class Sessions(Section):
    """Which files of a recorder are one session, and which gaps in it a person has to look at (article 22)."""

    join: Annotated[Duration, Field(le=timedelta(hours=2))] = Field(
        timedelta(minutes=5), description=N_("a length of time up to 2h, such as 5m")
    )
    gap: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(hours=2))] = Field(
        timedelta(seconds=10), description=N_("a length of time between 1s and 2h, such as 10s")
    )


class Filing(Section):
    """Article 28's thirty days."""

    holidays: Annotated[tuple[tuple[date, date], ...], PlainValidator(parse_holidays)] = Field(
        (), description=N_("a list of days or of first/last days such as [2026-10-01/2026-10-07, 2027-01-01]")
    )
    warn_before: Annotated[tuple[Duration, ...], BeforeValidator(_as_tuple), AfterValidator(_warnings)] = Field(
        (timedelta(days=7), timedelta(days=1)), description=N_("a list of times such as [7d, 1d]")
    )


class Bay(Section):
    """采集口: the USB port paths that are one socket of the dock."""

    ports: Annotated[tuple[Text, ...], BeforeValidator(_as_tuple), Field(min_length=1)] = Field(
        description=N_('a list of USB port paths such as ["1-4.2"]')
    )
    priority: bool = Field(False, description=N_("true or false"))


class Kind(Section):
    """Devices that udev marks as recorders: all of the conditions hold."""

    bay: Text | None = Field(None, description=N_('a bay\'s name in quotes, or "*" for any bay'))
    vendor: UsbId | None = Field(None, description=N_('four hexadecimal digits in quotes such as "4255"'))
    product: UsbId | None = Field(None, description=N_('four hexadecimal digits in quotes such as "4255"'))
    serial: Glob | None = Field(None, description=N_("a text in quotes, * and ? stand for any characters"))
    label: Glob | None = Field(None, description=N_("a text in quotes, * and ? stand for any characters"))


class Inventory(Section):
    """The default export."""

    path: FilePath = Field(
        Path("/var/lib/dockd/exports/inventory.csv"),
        description=N_("a file, absolute or relative to this file"),
    )
    headers: Headers = Field("en", description=N_("en (English words) or zh (Chinese words)"))
    bom: bool = Field(False, description=N_("true (for Excel) or false"))


class Export(Section):
    """A further export of the inventory. No ``columns`` means all of them."""

    name: Named = Field(description=N_("a short name of a–z, 0–9, '-' and '_'"))
    path: FilePath = Field(description=N_("a file, absolute or relative to this file"))
    columns: Annotated[tuple[Annotated[str, AfterValidator(_column)], ...], BeforeValidator(_as_tuple)] = Field(
        (), description=N_("a list of columns of the inventory such as [file_no, title]; an empty list means all")
    )
    headers: Headers = Field("en", description=N_("en (English words) or zh (Chinese words)"))
    bom: bool = Field(False, description=N_("true (for Excel) or false"))
    masked: bool = Field(True, description=N_("true or false"))


class Channel(Section):
    """One way out for alerts. ``names``: whether personal names and file names may leave the station on it."""

    name: Named = Field(description=N_("a short name of a–z, 0–9, '-' and '_'"))
    kind: Literal["journal", "spool", "command", "apprise", "dingtalk", "wecom", "feishu", "lark"] = Field(
        description=N_("journal, spool, command, apprise, dingtalk, wecom, feishu or lark")
    )
    url: Annotated[str | None, PlainValidator(_secret)] = Field(
        None, description=N_("the address that the service gave you, in quotes")
    )
    secret: Annotated[str | None, PlainValidator(_secret)] = Field(
        None, description=N_("the key with which the robot's messages are signed, in quotes")
    )
    folder: Annotated[Path | None, BeforeValidator(_absolute_or_none)] = Field(
        None, description=N_("a folder, absolute or relative to this file")
    )
    format: Literal["json", "csv"] = Field("json", description=N_("json or csv"))
    command: Annotated[tuple[Text, ...], BeforeValidator(_as_tuple)] = Field(
        (), description=N_('a program and its arguments as a list such as ["/usr/local/bin/lamp", "red"]')
    )
    names: bool = Field(False, description=N_("true or false"))


class Route(Section):
    """Which alerts go to which channels, and when. An empty list means all."""

    to: Annotated[tuple[Named, ...], BeforeValidator(_as_tuple), Field(min_length=1)] = Field(
        description=N_("a list of names of channels")
    )
    severity: Literal["notice", "warning", "critical"] = Field(
        "notice", description=N_("the least severity: notice, warning or critical")
    )
    kinds: Annotated[tuple[Text, ...], BeforeValidator(_as_tuple)] = Field(
        (), description=N_("a list of classes of alerts such as [late_docked, store_full]")
    )
    units: Annotated[tuple[Text, ...], BeforeValidator(_as_tuple)] = Field(
        (), description=N_("a list of units as recorders have them")
    )
    hours: Annotated[str | None, Field(pattern=f"^{_CLOCK}-{_CLOCK}$")] = Field(
        None, description=N_("hours of the day such as '08:00-18:00'")
    )
    days: Annotated[tuple[Annotated[int, Field(ge=1, le=7)], ...], BeforeValidator(_as_tuple)] = Field(
        (), description=N_("days of the week, 1 for Monday to 7 for Sunday")
    )


class Paces(Section):
    """A length of time for each severity; zero for never."""

    notice: Duration = Field(timedelta(days=7), description=N_("a length of time such as 7d, or 0s for never"))
    warning: Duration = Field(timedelta(days=1), description=N_("a length of time such as 7d, or 0s for never"))
    critical: Duration = Field(timedelta(hours=4), description=N_("a length of time such as 7d, or 0s for never"))


class Steps(Paces):
    """After how long without an answer an alert becomes more severe."""

    warning: Duration = Field(timedelta(days=2), description=N_("a length of time such as 7d, or 0s for never"))
    critical: Duration = Field(timedelta(), description=N_("a length of time such as 7d, or 0s for never"))


class Report(Section):
    """The daily report. ``to`` empty: every channel."""

    at: Annotated[str, Field(pattern=f"^(never|{_CLOCK})$")] = Field(
        "08:00", description=N_("an hour of the day such as '08:00', or never")
    )
    to: Annotated[tuple[Named, ...], BeforeValidator(_as_tuple)] = Field(
        (), description=N_("a list of names of channels")
    )


class Alerts(Section):
    """Who is told of what, how often, and when. ``journal``: a line in the log, numbers only."""

    channels: Annotated[tuple[Annotated[Channel, BeforeValidator(_channel)], ...], BeforeValidator(_as_tuple)] = Field(
        (Channel.model_validate({"name": "journal", "kind": "journal"}),),
        description=N_(
            "a list; known channels: journal, or {name, kind, …} with the kind spool, command, apprise, dingtalk, "
            "wecom, feishu or lark"
        ),
    )
    routes: Annotated[tuple[Route, ...], BeforeValidator(_as_tuple)] = Field(
        (), description=N_("a list of routes, each with to")
    )
    repeat: Paces = Field(Paces.model_validate({}), description=N_("keys with values, indented below"))
    escalate: Steps = Field(Steps.model_validate({}), description=N_("keys with values, indented below"))
    failing_after: Duration = Field(timedelta(minutes=30), description=N_("a length of time such as 30m"))
    report: Report = Field(Report.model_validate({}), description=N_("keys with values, indented below"))


class Checks(Section):
    """Article 24's thresholds, and how often the agency wants its recorders looked at."""

    battery_min: int = Field(20, ge=0, le=100, description=N_("percent from 0 to 100"))
    free_min: Annotated[Reserve, PlainValidator(parse_reserve)] = Field(
        Reserve(percent=10), description=N_("a size such as 20GiB, a part such as 5%, or 0 for none")
    )
    rate_drop: int = Field(50, ge=0, le=95, description=N_("percent from 1 to 95, or 0 for never"))
    error_visits: int = Field(2, ge=1, le=6, description=N_("visits from 1 to 6"))
    locked_files: int = Field(20, ge=0, le=100_000, description=N_("a number of files"))
    check_every: Duration = Field(timedelta(days=30), description=N_("a length of time such as 30d, or 0s for never"))
    maintain_every: Duration = Field(
        timedelta(days=180), description=N_("a length of time such as 180d, or 0s for never")
    )
    repair_within: Duration = Field(timedelta(days=30), description=N_("a length of time such as 30d, or 0s for never"))


class Title(Section):
    """How a record is named when nobody names it."""

    template: Annotated[str, AfterValidator(_title)] = Field(
        "{cause}-{party}-{date}-{n}",
        description=N_("a text with fields such as {cause}-{party}-{date}-{n}"),
    )


class Tags(Section):
    """What people say of records. ``matters`` None: any text is a matter."""

    matters: Annotated[Path | None, PlainValidator(_optional_file)] = Field(
        None, description=N_('a CSV file, absolute or relative to this file, or "" for none')
    )
    remind_after: Duration = Field(timedelta(hours=72), description=N_("a length of time such as 72h, or 0h for never"))


class KeepClass(Section):
    """保存类别."""

    title: Text = Field("", description=N_("the class's name for people, in quotes"))
    keep: Annotated[Keep, PlainValidator(parse_keep)] = Field(
        description=N_("permanent, or a period such as 6 months, 3 years or 90 days")
    )


class KeepRule(Section):
    """Which records are of a class."""

    name: Named = Field(alias="class", description=N_("the name of a class of the table above"))
    case: bool | None = Field(None, description=N_("true or false"))
    evidence: bool | None = Field(None, description=N_("true or false"))
    important: bool | None = Field(None, description=N_("true or false"))
    full_course: bool | None = Field(None, description=N_("true or false"))
    act_type: Words = Field((), description=N_("a list of words such as [penalty, coercion]"))
    stage: Words = Field((), description=N_("a list of words such as [investigation]"))
    step: Words = Field((), description=N_("a list of words such as [questioning]"))
    matter: Words = Field((), description=N_("a list of matters"))
    confidentiality: Words = Field((), description=N_("a list of words such as [privacy]"))
    media: Words = Field((), description=N_("a list of words such as [video, audio]"))
    unit: Words = Field((), description=N_("a list of units"))

    def as_rule(self) -> RetentionRule:
        """The rule as the law reads it."""
        flags = {name: getattr(self, name) for name in ("case", "evidence", "important", "full_course")}
        words = ("act_type", "stage", "step", "matter", "confidentiality", "media", "unit")
        return RetentionRule(
            self.name,
            tuple((name, getattr(self, name)) for name in words if getattr(self, name)),
            tuple((name, value) for name, value in flags.items() if value is not None),
        )


class Retention(Section):
    """Article 27(3): how long records are kept. Nothing is deleted by it."""

    classes: dict[Named, KeepClass] = Field({}, description=N_("classes by name, each with keep"))
    rules: Annotated[tuple[KeepRule, ...], BeforeValidator(_as_tuple)] = Field(
        (), description=N_("a list of rules, each with class and conditions")
    )


class Profiles(Section):
    """Where the station's own card profiles are."""

    folder: FilePath = Field(Path("profiles"), description=N_("a folder, absolute or relative to this file"))


class Probe(Section):
    """Limits of the programs that read footage, per file."""

    deadline_s: int = Field(30, ge=1, le=3600, description=N_("seconds between 1 and 3600"))
    memory: Annotated[Size, Field(ge=64 << 20, le=64 << 30)] = Field(
        1 << 30, description=N_("a size between 64MiB and 64GiB")
    )
    cpu_s: int = Field(60, ge=1, le=3600, description=N_("seconds between 1 and 3600"))


class CardTrouble(Section):
    """How long a card that is in trouble is waited for."""

    patience: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(hours=1))] = Field(
        timedelta(minutes=3), description=N_("a length of time between 1s and 1h, such as 3m")
    )


class Clock(Section):
    """When two clocks disagree."""

    tolerance_s: int = Field(300, ge=1, le=86400, description=N_("seconds between 1 and 86400"))


class Verify(Section):
    """How proof is renewed. ``rate`` None: as fast as the disk."""

    source_twice: bool = Field(False, description=N_("true or false"))
    every_days: int = Field(30, ge=0, le=3650, description=N_("days from 1 to 3650, or 0 for never"))
    rate: Annotated[int | None, PlainValidator(_rate)] = Field(
        None, description=N_("bytes per second such as 50MB, or 0 for no limit")
    )


class Docking(Section):
    """How recorders that are plugged in are taken. ``mount``: who opens a card's file system."""

    settle: Annotated[Duration, Field(le=timedelta(minutes=1))] = Field(
        timedelta(), description=N_("a length of time up to 1m, such as 2s")
    )
    return_within: Annotated[Duration, Field(le=timedelta(minutes=5))] = Field(
        timedelta(seconds=10), description=N_("a length of time up to 5m, such as 10s")
    )
    visits: int = Field(8, ge=1, le=64, description=N_("a number from 1 to 64"))
    per_controller: int = Field(4, ge=1, le=64, description=N_("a number from 1 to 64"))
    mount: Literal["broker", "self"] = Field("broker", description=N_("broker or self"))


def _arguments(command: tuple[str, ...]) -> tuple[str, ...]:
    if not command[0].startswith("/") or any("\0" in argument for argument in command):
        raise refuse(_("{value} is not a program with its whole path").format(value=shown(command[0])))
    return command


class Unlock(Section):
    """The command that makes one family of recorders show its disk. Ids alone never start it."""

    profile: Named = Field(description=N_("a profile's name"))
    vendor: UsbId = Field(description=N_('four hexadecimal digits in quotes such as "4255"'))
    product: UsbId = Field(description=N_('four hexadecimal digits in quotes such as "4255"'))
    serial: Text | None = Field(None, description=N_("a text in quotes, * and ? stand for any characters"))
    maker: Text | None = Field(None, description=N_("a text in quotes, * and ? stand for any characters"))
    name: Text | None = Field(None, description=N_("a text in quotes, * and ? stand for any characters"))
    command: Annotated[
        tuple[Text, ...], BeforeValidator(_as_tuple), Field(min_length=1), AfterValidator(_arguments)
    ] = Field(description=N_("a list: the program with its whole path, then its arguments"))
    deadline: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=5))] = Field(
        timedelta(seconds=20), description=N_("a length of time between 1s and 5m, such as 20s")
    )
    password_file: Annotated[Path | None, PlainValidator(_absolute_or_none)] = Field(
        None, description=N_('a file that only root can read, or "" for none')
    )


def _more_than_ids(rules: tuple[Unlock, ...]) -> tuple[Unlock, ...]:
    for rule in rules:
        if not any(text and text.strip("*?") for text in (rule.serial, rule.maker, rule.name)):
            raise refuse(_("a command is never started on vendor and product alone"))
    return rules


class Delivered(Section):
    """A folder that a dock of another kind fills by a share. ``whole``: it is one recorder's, not one a subfolder."""

    path: FilePath = Field(description=N_("a folder, absolute or relative to this file"))
    whole: bool = Field(False, description=N_("true or false"))


class Folders(Section):
    """Folders that others fill. ``imports`` None: tables are imported by people only."""

    deliveries: dict[Text, Delivered] = Field({}, description=N_("folders by name, each with its path"))
    imports: Annotated[Path | None, PlainValidator(_absolute_or_none)] = Field(
        None, description=N_('a folder, absolute or relative to this file, or "" for none')
    )
    settle: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(hours=1))] = Field(
        timedelta(seconds=30), description=N_("a length of time between 1s and 1h, such as 30s")
    )
    rescan: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(days=1))] = Field(
        timedelta(minutes=5), description=N_("a length of time between 1s and 1d, such as 5m")
    )


class Schedule(Section):
    """How often the station looks after itself. Everything is caught up after it was switched off."""

    deliver: Annotated[Duration, Field(ge=timedelta(seconds=10), le=timedelta(hours=1))] = Field(
        timedelta(minutes=1), description=N_("a length of time between 10s and 1h, such as 1m")
    )
    watch: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(hours=1))] = Field(
        timedelta(minutes=5), description=N_("a length of time between 1m and 1h, such as 5m")
    )
    exports: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(days=1))] = Field(
        timedelta(minutes=15), description=N_("a length of time between 1m and 1d, such as 15m")
    )
    nightly: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = Field(
        "01:00", description=N_("a time of day in quotes, such as '01:00'")
    )
    fixity_for: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(days=1))] = Field(
        timedelta(hours=5), description=N_("a length of time between 1m and 1d, such as 5h")
    )


class Backup(Section):
    """Copies of the register."""

    folder: FilePath = Field(
        Path("/var/lib/dockd/backup"), description=N_("a folder, absolute or relative to this file")
    )
    keep: int = Field(14, ge=0, le=3650, description=N_("copies from 1 to 3650, or 0 for no copies"))


class Service(Section):
    """How people reach the service. ``control`` None: the station belongs to its caller and is used directly."""

    control: Annotated[Path | None, PlainValidator(_absolute_or_none)] = Field(
        None, description=N_('a socket such as /run/dockd/control, or "" for none')
    )


class Log(Section):
    """How much is logged."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description=N_("debug, info, warning or error"))


class Document(Section):
    """The whole file."""

    agency: Agency = Field(description=N_("keys with values, indented below"))
    store: Store = Field(description=N_("keys with values, indented below"))
    # "register" as it is would shadow ABCMeta.register.
    register_place: RegisterPlace = Field(alias="register", description=N_("keys with values, indented below"))
    deadline: Deadline = Field(description=N_("keys with values, indented below"))
    session: Sessions = Field(description=N_("keys with values, indented below"))
    filing: Filing = Field(description=N_("keys with values, indented below"))
    bays: dict[Text, Bay] = Field({}, description=N_("bays by name, each with its ports"))
    devices: Annotated[tuple[Kind, ...], BeforeValidator(_as_tuple), AfterValidator(_says_something)] = Field(
        (Kind.model_validate({"bay": "*"}),),
        description=N_("a list of kinds of devices, each with bay, vendor, product, serial or label"),
    )
    inventory: Inventory = Field(description=N_("keys with values, indented below"))
    exports: Annotated[tuple[Export, ...], BeforeValidator(_as_tuple)] = Field(
        (), description=N_("a list of exports, each with name and path")
    )
    alerts: Alerts = Field(description=N_("keys with values, indented below"))
    checks: Checks = Field(description=N_("keys with values, indented below"))
    unknown_recorder: Literal["hold", "ingest"] = Field("hold", description=N_("hold or ingest"))
    title: Title = Field(description=N_("keys with values, indented below"))
    tags: Tags = Field(description=N_("keys with values, indented below"))
    retention: Retention = Field(description=N_("keys with values, indented below"))
    profiles: Profiles = Field(description=N_("keys with values, indented below"))
    probe: Probe = Field(description=N_("keys with values, indented below"))
    card: CardTrouble = Field(description=N_("keys with values, indented below"))
    clock: Clock = Field(description=N_("keys with values, indented below"))
    verify: Verify = Field(description=N_("keys with values, indented below"))
    docking: Docking = Field(description=N_("keys with values, indented below"))
    unlock: Annotated[tuple[Unlock, ...], BeforeValidator(_as_tuple), AfterValidator(_more_than_ids)] = Field(
        (),
        description=N_(
            "a list of commands, each with profile, vendor, product, one of serial, maker, name, and command"
        ),
    )
    folders: Folders = Field(description=N_("keys with values, indented below"))
    schedule: Schedule = Field(description=N_("keys with values, indented below"))
    backup: Backup = Field(description=N_("keys with values, indented below"))
    service: Service = Field(description=N_("keys with values, indented below"))
    log: Log = Field(description=N_("keys with values, indented below"))


# --- the result -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """The station's configuration, whole and valid. ``file`` is where it was read."""

    file: Path
    agency: Agency
    store: Store
    register: RegisterPlace
    deadline: Deadline
    session: Sessions
    filing: Filing
    bays: dict[str, Bay]
    devices: tuple[Kind, ...]
    inventory: Inventory
    exports: tuple[Export, ...]
    alerts: Alerts
    checks: Checks
    unknown_recorder: Literal["hold", "ingest"]
    title: Title
    tags: Tags
    retention: Retention
    profiles: Profiles
    probe: Probe
    card: CardTrouble
    clock: Clock
    verify: Verify
    docking: Docking
    unlock: tuple[Unlock, ...]
    folders: Folders
    schedule: Schedule
    backup: Backup
    service: Service
    log: Log

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which times are shown and days begin."""
        return ZoneInfo(self.agency.timezone)

    @property
    def register_file(self) -> Path | None:
        """The register's file, or None where it is a database server."""
        kind, _sep, path = self.register.url.partition(":///")
        return Path(path) if kind == "sqlite" else None


def load_settings(path: Path) -> Settings:
    """The configuration at ``path``.

    Raises ConfigMissing, ConfigUnreadable, or ConfigInvalid for the first line that is wrong.
    """
    path = Path(os.path.abspath(path))
    return _validate(yamlfile.read_yaml(path))


def parse_settings(text: str, path: Path) -> Settings:
    """The configuration in ``text``, as if it stood at ``path`` (absolute)."""
    return _validate(yamlfile.parse_yaml(text, path))


def _validate(found: Yaml) -> Settings:
    if not isinstance(found.values, dict):
        raise ConfigUnreadable(file=found.file, line=1, problem=_("the file is not a list of “key: value” lines"))
    try:
        document = Document.model_validate(_with_sections(found.values), context={"folder": found.file.parent})
    except ValidationError as error:
        raise _first_problem(found, error) from None
    values = {_key(name): getattr(document, name) for name in Document.model_fields}
    settings = Settings(file=found.file, **values)
    for keys, problem, expected in _contradictions(settings):
        raise _invalid(found, keys, problem, expected)
    return settings


def _key(name: str) -> str:
    return Document.model_fields[name].alias or name


def _with_sections(values: dict[str, Any]) -> dict[str, Any]:
    """A section that is absent, or whose keys are all commented out, has its defaults."""
    sections = [_key(name) for name, field in Document.model_fields.items() if field.is_required()]
    empty: dict[str, Any] = {key: {} for key in (*sections, "bays")} | {"exports": [], "unlock": []}
    return values | {key: nothing for key, nothing in empty.items() if values.get(key) is None}


# --- what is wrong, in plain words ----------------------------------------------------------------


def _invalid(found: Yaml, keys: Keys, problem: str, expected: str) -> ConfigInvalid:
    return ConfigInvalid(
        file=found.file, line=found.line(keys), key=yamlfile.dotted(keys), problem=problem, expected=expected
    )


def _first_problem(found: Yaml, error: ValidationError) -> ConfigInvalid:
    """The problem nearest the top of the file, which a person meets first."""
    details = error.errors(include_url=False)
    first = min(details, key=lambda detail: found.line(_keys(detail)))
    keys = _keys(first)
    value = shown(found.texts.get(keys, first["input"]))
    return _invalid(found, keys, _problem(first, value), _expected(first, keys, value))


def _keys(detail: ErrorDetails) -> Keys:
    return tuple(key for key in detail["loc"] if key != "[key]")


def _problem(detail: ErrorDetails, value: str) -> str:
    if detail["type"] == "refused":
        return str(detail["msg"])
    if detail["type"] == "extra_forbidden":
        return _("there is no such key")
    if detail["type"] == "missing":
        return _("this key is missing")
    if isinstance(detail["input"], dict):
        return _("keys stand where a value is expected")
    if detail["type"] in ("model_type", "dict_type"):
        return _("a value stands where keys are expected")
    if detail["input"] is None:
        return _("the value is missing")
    if _needs_quotes(detail):
        return _("{value} is read as a number, a date or yes/no").format(value=value)
    return _("{value} is not possible").format(value=value)


def _needs_quotes(detail: ErrorDetails) -> bool:
    return detail["type"] == "string_type" and not isinstance(detail["input"], list | dict | None)


def _expected(detail: ErrorDetails, keys: Keys, value: str) -> str:
    if detail["type"] == "extra_forbidden":
        return _suggestion(str(keys[-1]), _section_at(keys[:-1]))
    if _needs_quotes(detail):
        return _("the same in quotes: '{value}'").format(value=value)
    return _(_description(keys))


def _suggestion(key: str, section: type[BaseModel]) -> str:
    known = [field.alias or name for name, field in section.model_fields.items()]
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return _("perhaps the key {key}").format(key=near[0])
    return _("one of the keys {keys}").format(keys=", ".join(known))


def _walk(keys: Keys) -> Iterator[tuple[type[BaseModel], str]]:
    """The sections on the way to ``keys``, each with what is expected at the key within it."""
    section: type[BaseModel] = Document
    yield section, N_("keys with values, indented below")
    for key in keys:
        field = next((f for name, f in section.model_fields.items() if (f.alias or name) == key), None)
        if field is not None:
            section = next(_sections(field.annotation), section)
            yield section, field.description or ""


def _section_at(keys: Keys) -> type[BaseModel]:
    return list(_walk(keys))[-1][0]


def _description(keys: Keys) -> str:
    return list(_walk(keys))[-1][1]


def _sections(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections(argument)


# --- values that are possible alone and impossible together ------------------------------------------


def _contradictions(settings: Settings) -> Iterator[tuple[Keys, str, str]]:
    root = settings.store.root
    if root == Path(root.anchor):
        yield ("store", "root"), _("the root of the file system cannot be the store"), _("a folder of its own")
    for keys, path in _places(settings):
        if path == root or root in path.parents:
            problem = _("{path} lies in the store {root}, which holds footage only")
            yield keys, problem.format(path=path, root=root), _("a place outside the store")
    if settings.profiles.folder in root.parents:
        problem = _("the store {root} lies in the folder of the profiles")
        yield ("store", "root"), problem.format(root=root), _("a folder of its own")
    for i, kind in enumerate(settings.devices):
        if kind.bay not in (None, "*", *settings.bays):
            problem = _("there is no bay {bay}").format(bay=kind.bay)
            yield ("devices", i, "bay"), problem, _("a bay that stands under bays")
    yield from _unlike_their_kind(settings.alerts)
    yield from _unknown_channels(settings.alerts)
    yield from _twice(settings)
    yield from _shared_ports(settings)
    yield from _classless(settings)


def _classless(settings: Settings) -> Iterator[tuple[Keys, str, str]]:
    """A rule of retention for a class that the table lacks, and a class by the name of what is in none."""
    known = settings.retention.classes
    if UNCLASSIFIED in known:
        problem = _("{name} is what is in no class: it never expires")
        yield ("retention", "classes", UNCLASSIFIED), problem.format(name=UNCLASSIFIED), _("another name")
    for i, rule in enumerate(settings.retention.rules):
        if rule.name not in known:
            problem = _("there is no class {name}").format(name=rule.name)
            yield ("retention", "rules", i, "class"), problem, _("the name of a class of the table above")


def _places(settings: Settings) -> Iterator[tuple[Keys, Path]]:
    """Everything that the configuration puts somewhere, but the store itself."""
    yield ("store", "root"), settings.file
    if settings.register_file:
        yield ("register", "url"), settings.register_file
    yield ("profiles", "folder"), settings.profiles.folder
    yield ("inventory", "path"), settings.inventory.path
    yield ("backup", "folder"), settings.backup.folder
    for name, delivered in settings.folders.deliveries.items():
        yield ("folders", "deliveries", name, "path"), delivered.path
    if settings.folders.imports:
        yield ("folders", "imports"), settings.folders.imports
    if settings.tags.matters:
        yield ("tags", "matters"), settings.tags.matters
    for i, export in enumerate(settings.exports):
        yield ("exports", i, "path"), export.path
    for i, channel in enumerate(settings.alerts.channels):
        if channel.folder:
            yield ("alerts", "channels", i, "folder"), channel.folder


_OF_KIND = {
    "journal": set(),
    "spool": {"folder"},
    "command": {"command"},
    "apprise": {"url"},
    "dingtalk": {"url", "secret"},
    "wecom": {"url"},
    "feishu": {"url", "secret"},
    "lark": {"url", "secret"},
}


def _unlike_their_kind(alerts: Alerts) -> Iterator[tuple[Keys, str, str]]:
    """A channel has what its kind needs and nothing that another kind needs, and a name of its own."""
    names: set[str] = set()
    for i, channel in enumerate(alerts.channels):
        wanted = _OF_KIND[channel.kind]
        for key in ("folder", "command", "url", "secret"):
            given = bool(getattr(channel, key))
            if given and key not in wanted:
                problem = _("a channel of the kind {kind} has no {key}").format(kind=channel.kind, key=key)
                yield ("alerts", "channels", i, key), problem, ", ".join(sorted(wanted)) or _("nothing more")
            if not given and key in wanted and key != "secret":
                problem = _("a channel of the kind {kind} needs {key}").format(kind=channel.kind, key=key)
                yield ("alerts", "channels", i, "kind"), problem, _(_description(("alerts", "channels", i, key)))
        if channel.name in names:
            problem = _("the name {name} is taken").format(name=channel.name)
            yield ("alerts", "channels", i, "name"), problem, _("another name")
        names.add(channel.name)


def _unknown_channels(alerts: Alerts) -> Iterator[tuple[Keys, str, str]]:
    known = [channel.name for channel in alerts.channels]
    named: list[tuple[Keys, str]] = [
        (("alerts", "routes", i, "to", j), name)
        for i, route in enumerate(alerts.routes)
        for j, name in enumerate(route.to)
    ]
    named += [(("alerts", "report", "to", i), name) for i, name in enumerate(alerts.report.to)]
    for keys, name in named:
        if name not in known:
            yield keys, _("there is no channel {name}").format(name=name), ", ".join(known)


def _twice(settings: Settings) -> Iterator[tuple[Keys, str, str]]:
    """Two exports of one name, or two things written to one file."""
    names = {"inventory"}
    paths = {settings.file, settings.inventory.path} | {p for p in (settings.register_file,) if p}
    for i, export in enumerate(settings.exports):
        if export.name in names:
            yield ("exports", i, "name"), _("the name {name} is taken").format(name=export.name), _("another name")
        if export.path in paths:
            yield ("exports", i, "path"), _("{path} is already in use").format(path=export.path), _("another file")
        names.add(export.name)
        paths.add(export.path)
    if settings.inventory.path in (settings.file, settings.register_file):
        problem = _("{path} is already in use").format(path=settings.inventory.path)
        yield ("inventory", "path"), problem, _("another file")


def _shared_ports(settings: Settings) -> Iterator[tuple[Keys, str, str]]:
    owner: dict[str, str] = {}
    for name, bay in settings.bays.items():
        for i, port in enumerate(bay.ports):
            if owner.setdefault(port, name) != name:
                problem = _("the port {port} already belongs to bay {bay}").format(port=port, bay=owner[port])
                yield ("bays", name, "ports", i), problem, _("every port in one bay only")
