"""The nouns of the house as frozen values that cross the rooms' boundaries.

Times are timezone-aware unless a name says ``wall`` (a recorder's own clock,
zone unstated). Sizes are bytes, durations seconds. Names from a card are raw
bytes: what is shown of them is made by ``display_path``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

# --- what lies on a card ---------------------------------------------------------------------


class EntryType(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    FIFO = "fifo"
    SOCKET = "socket"
    DEVICE = "device"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Entry:
    """卡上所见, one entry of a card's listing, as the directory said it. Never changes.

    ``path`` is relative to the card's root with ``/`` between parts. ``error`` is the
    name of the errno (``EIO`` …) with which the entry could not be examined, or, for a
    directory, not be listed.
    """

    path: bytes
    type: EntryType
    size: int = 0
    mtime_ns: int = 0
    inode: int = 0
    error: str | None = None

    @property
    def name(self) -> bytes:
        return self.path.rpartition(b"/")[2]

    @property
    def display(self) -> str:
        return display_path(self.path)


@dataclass(frozen=True, slots=True)
class Listing:
    """Every entry of a card at one time, in the order of their raw paths."""

    entries: tuple[Entry, ...]
    taken_at: datetime

    @property
    def files(self) -> tuple[Entry, ...]:
        """Everything that needs an outcome: all but directories that could be listed."""
        return tuple(e for e in self.entries if e.type is not EntryType.DIRECTORY or e.error)


class MediaType(StrEnum):
    VIDEO = "video"
    AUDIO = "audio"
    PHOTO = "photo"
    LOG = "log"
    SIDECAR = "sidecar"
    THUMBNAIL = "thumbnail"
    CONFIG = "config"
    OTHER = "other"

    @property
    def is_recording(self) -> bool:
        """Article 18's 音像记录: what articles 22, 23 and 27 speak of."""
        return self in (MediaType.VIDEO, MediaType.AUDIO, MediaType.PHOTO)


class Place(StrEnum):
    """Where on the card a file lies; anything but NORMAL is remarked and alerted when it holds media."""

    NORMAL = "normal"
    TEMP = "temp"
    TRASH = "trash"
    RECOVERED = "recovered"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read the identity tokens of a name. Tokens that mean "unset" are None."""

    device: str | None = None
    officer: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedName:
    """What a profile's grammar reads in a path. Hints only: the register is the authority.

    ``readings`` has one member where the grammar fixes the order of the tokens and two
    where both orders occur. ``unmarked`` is the file name without its important mark,
    so that a marked copy can be matched with its original.
    """

    grammar: str
    readings: tuple[Reading, ...] = ()
    wall: datetime | None = None
    time_text: str | None = None
    sequence: str | None = None
    important: bool = False
    unmarked: str | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Classified:
    """What a profile says of one entry. ``skip`` is a reason code, only for OS index files."""

    media: MediaType
    place: Place = Place.NORMAL
    skip: str | None = None
    parsed: ParsedName | None = None


class ContainerClock(StrEnum):
    """What ``creation_time`` in a container means for a family of recorders."""

    UTC = "utc"
    LOCAL_AS_UTC = "local_as_utc"
    END_UTC = "end_utc"
    UNRELIABLE = "unreliable"


class MtimeClock(StrEnum):
    """Whether a file's mtime marks the end or the start of the recording."""

    END = "end"
    START = "start"
    UNRELIABLE = "unreliable"


@dataclass(frozen=True, slots=True)
class ClockRule:
    """A profile's clock: what the three witnesses of a recording's time mean."""

    container: ContainerClock = ContainerClock.UNRELIABLE
    mtime: MtimeClock = MtimeClock.END


class Rung(StrEnum):
    """How a recorder was identified (domain.md 2.5), best first."""

    EXPLICIT = "explicit"
    DRIVER = "driver"
    BINDING_FILE = "binding_file"
    USB_SERIAL = "usb_serial"
    VOLUME = "volume"
    FILE_NAMES = "file_names"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class CardIdentity:
    """What can be said of a card without reading a recording.

    ``instance`` tells this card from every other card and from itself after formatting.
    ``mtime_is_wall`` is true where the file system was mounted so that mtimes show the
    recorder's wall clock as if it were UTC (``tz=UTC`` on FAT).
    """

    instance: str
    label: str | None = None
    fs_uuid: str | None = None
    fs_type: str | None = None
    size: int | None = None
    free: int | None = None
    usb_serial: str | None = None
    usb_path: str | None = None
    mtime_is_wall: bool = False
    writable: bool = False


# --- what happened to a file -------------------------------------------------------------------


class FileOutcome(StrEnum):
    STORED = "stored"
    STORED_DAMAGED = "stored_damaged"
    ALREADY_STORED = "already_stored"
    UNREADABLE = "unreadable"
    SKIPPED = "skipped"


class VisitOutcome(StrEnum):
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


class Source(StrEnum):
    DOCK = "dock"
    FOLDER = "folder"
    MANUAL = "manual"


class VerifiedVia(StrEnum):
    """How the read-back reached the medium: ``CACHE`` says that it could not be shown that it did."""

    DROPPED = "cache_dropped"
    DIRECT = "o_direct"
    CACHE = "page_cache"


@dataclass(frozen=True, slots=True)
class Hole:
    """A range of a salvaged file that could not be read and is zero-filled."""

    offset: int
    length: int


# --- what a file says of itself --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """Parsers' advice on one stored file. Every field may be missing; none is trusted alone.

    ``created_raw`` is the container's date as written; ``created`` the same read as UTC.
    ``zoned`` is a date that carries its own offset. ``problems`` are codes: ``empty``,
    ``no_index``, ``truncated``, ``not_media``, ``probe_failed``, ``probe_timeout`` …
    """

    container: str | None = None
    duration_s: float | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    width: int | None = None
    height: int | None = None
    created_raw: str | None = None
    created: datetime | None = None
    zoned: datetime | None = None
    gps_time: datetime | None = None
    gps_position: str | None = None
    make: str | None = None
    model: str | None = None
    serial: str | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UseTime:
    """使用时间 of one recording with its basis.

    ``basis`` joins the witnesses that agree, best first (``name+container``); empty means
    unknown. ``flags`` are codes for what was not used or disagrees: ``name_unset``,
    ``container_wrong``, ``mtime_future``, ``disagree_container`` … ``other_ends`` holds the
    ends that disagreeing witnesses give, so that a deadline is never wrong in silence.
    """

    used_from: datetime | None = None
    used_to: datetime | None = None
    basis: str = ""
    flags: tuple[str, ...] = ()
    other_ends: tuple[datetime, ...] = ()


# --- people, recorders, cases as the law's pure functions see them ------------------------------


@dataclass(frozen=True, slots=True)
class Officer:
    """执法人员: ``cert_no`` is the enforcement certificate, ``badge`` the number recorders carry."""

    cert_no: str
    name: str
    badge: str | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Recorder:
    """执法记录仪: ``device_no`` is the bureau's number, ``device_serial`` the maker's."""

    device_no: str
    device_serial: str | None = None
    model: str | None = None
    profile: str | None = None
    unit: str | None = None
    owner_cert_no: str | None = None
    device_kind: str | None = None
    custodian: str | None = None
    state: str = "in_service"
    id: int | None = None  # the register's key; None for a recorder that is not registered yet
    attributes: tuple[str, ...] = ()  # article 31: codes of law.vocabulary.RECORDER_ATTRIBUTES


@dataclass(frozen=True, slots=True)
class Custody:
    """领用: who held a recorder from ``issued_at`` until ``returned_at`` (None: still out)."""

    custody_id: int
    cert_no: str
    issued_at: datetime
    returned_at: datetime | None = None
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CaseWork:
    """案件: one officer's period of work on one case."""

    case_no: str
    cert_no: str | None
    used_from: datetime | None
    used_to: datetime | None
    case_cause: str | None = None
    parties: tuple[str, ...] = ()
    place: str | None = None
    matter: str | None = None
    act_type: str | None = None
    stage: str | None = None
    confidentiality: str | None = None


class OwnerState(StrEnum):
    ASSIGNED = "assigned"
    UNASSIGNED = "unassigned"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Attribution:
    """Whose recording it is and of which case, each with its basis (article 27).

    ``officers`` is empty where evidence is missing (``UNASSIGNED``) or disagrees
    (``CONFLICT``); ``officer_candidates`` and ``case_candidates`` are kept for a person.
    """

    officers: tuple[str, ...] = ()
    owner_state: OwnerState = OwnerState.UNASSIGNED
    officer_basis: str = ""
    officer_candidates: tuple[str, ...] = ()
    case_no: str | None = None
    case_basis: str = ""
    case_candidates: tuple[str, ...] = ()


class LateKind(StrEnum):
    """``DOCKED``: the officer's side was late. ``STORED``: docked in time, the station was late."""

    DOCKED = "docked"
    STORED = "stored"


@dataclass(frozen=True, slots=True)
class Judgement:
    """Article 23 on one recording. ``late`` None: unknown or pending, with ``reason`` as a code."""

    deadline_at: datetime | None = None
    original_deadline_at: datetime | None = None
    late: bool | None = None
    late_kind: LateKind | None = None
    overdue_s: int = 0
    reason: str = ""
    exception_id: int | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person (``person:NAME``), the service or a command run by it."""

    name: str = "dockd"

    def __str__(self) -> str:
        return self.name


# --- how long records are kept (article 27(3)) ---------------------------------------------------

UNCLASSIFIED = "unclassified"
"""保存类别 of a record that no rule and no person has put into a class: it never expires."""


@dataclass(frozen=True, slots=True)
class Keep:
    """保存期限: so many months and days; neither: for ever (永久)."""

    months: int = 0
    days: int = 0

    @property
    def is_permanent(self) -> bool:
        return not (self.months or self.days)


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """Which records are of a class: all conditions must hold.

    ``words`` are items with the values that they may have, ``flags`` are yes or no; what is
    not named does not matter.
    """

    retention_class: str
    words: tuple[tuple[str, tuple[str, ...]], ...] = ()
    flags: tuple[tuple[str, bool], ...] = ()


# --- numbers ----------------------------------------------------------------------------------


def is_reserved_number(token: str) -> bool:
    """Whether recorders use ``token`` for "not set", so that it can be nobody's number (domain.md 2.2).

    Zeros of any length, and any run of one single digit of five or more: ``0000000`` and
    ``000000`` (factory settings), ``8888888`` (never bound), ``99999`` (imported by hand).
    """
    token = token.strip()
    if not (token.isascii() and token.isdigit()):
        return False
    return token.strip("0") == "" or (len(token) >= 5 and len(set(token)) == 1)


# --- names as people see them --------------------------------------------------------------------


def path_text(raw: bytes) -> str:
    """A card's path for ``--json``: as it is, with bytes that are not UTF-8 as ``\\xNN``."""
    return raw.decode("utf-8", "backslashreplace")


def is_utf8(raw: bytes) -> bool:
    """Whether ``path_text`` says all of a name, or ``path_b64`` must stand beside it."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def display_path(raw: bytes) -> str:
    """A card's path for screens and CSV.

    Bytes that are not UTF-8 become ``\\xNN``; control characters (newline, tab, escape,
    also the Unicode ones that reorder text) become escapes too, and a backslash that
    stands in the name is doubled, so that the result maps back to one raw name only.
    """
    text = raw.decode("utf-8", "surrogateescape")
    return "".join(_shown(c) for c in text)


def display_text(text: str) -> str:
    """Text that a card had a hand in, for a terminal: control and reordering characters as escapes."""
    return "".join(c if c == "\\" else _shown(c) for c in text)


_REORDERING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\ufeff")


def _shown(c: str) -> str:
    code = ord(c)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if c == "\\":
        return "\\\\"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if 0x80 <= code < 0xA0 or c in _REORDERING:
        return f"\\u{code:04x}"
    return c


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of a visit for screens: all of them are facts of the register, not of a plan."""

    files: int = 0
    done: int = 0
    bytes_total: int = 0
    bytes_done: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)


# --- words that both the configuration and the rooms that use them must know -----------------------

TITLE_FIELDS = ("cause", "party", "date", "time", "n", "device_no", "officer", "case_no", "media", "original")
"""What a title's template may be made of (article 27's 名称)."""

# fmt: off
INVENTORY_COLUMNS = (
    "file_no", "title", "original_name", "media_type", "size_bytes", "duration_s", "device_no", "device_serial",
    "officer_name", "officer_cert_no", "used_from", "used_to", "time_basis", "party", "case_cause", "case_no",
    "act_type", "stage", "matter", "place", "method", "important_mark", "confidentiality", "retention_class",
    "retain_until", "docked_at", "stored_at", "deadline_at", "late", "exception_reason", "station_no", "bay",
    "digest_algo", "digest", "verified_at", "location", "owner_state", "tags_complete", "is_evidence",
    "disc_no", "archived_on", "remark", "late_kind", "device_kind", "unit",
)
# fmt: on
"""The columns of the inventory in their fixed order."""
