"""What a station needs, one small check each: OK, a warning, or a failure with what to do and an exit code.

Nothing is changed that stays: the store's checks make a file of their own beside its
marker and remove it again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dockd.cli.verdict import Check, Verdict, failed
from dockd.errors import DockdError, Exit, ToolMissing
from dockd.locale import N_, _

if TYPE_CHECKING:
    from dockd.register.station import Station
    from dockd.settings import Settings

OLDEST_EXIFTOOL = (12, 15)
ONE_CARD = 32 << 30
GIB = 1 << 30


def survey(settings: Settings, open_station: Callable[[], Station], now: datetime) -> Iterator[Check]:
    """Every check of a station whose configuration is valid, the quick ones first."""
    from dockd.cli import alertchecks
    from dockd.cli.foldercheck import check_folders

    yield Check("configuration", Verdict.OK, _("configuration {file}: valid").format(file=settings.file))
    yield check_designated(settings.agency.designated_storage)
    yield check_zone(settings, now)
    yield check_profiles(settings.profiles.folder)
    yield from check_tagging(settings)
    yield from check_folders(settings, now)
    yield alertchecks.check_routes(settings)
    yield from alertchecks.check_secrets(settings)
    yield from surroundings()
    yield check_parsers()
    yield from check_store(settings)
    yield from check_register(open_station)


def surroundings() -> Iterator[Check]:
    """What needs no configuration: tools and clock."""
    yield check_ffprobe(tool_output("ffprobe", "-version"))
    yield check_exiftool(tool_output("exiftool", "-ver"))
    yield check_clock()


# --- configuration -------------------------------------------------------------------------------


def check_designated(designated: bool) -> Check:
    from dockd.settings import ARTICLE_23

    name = "designated_storage"
    if designated:
        return Check(name, Verdict.OK, _("the store is the designated storage device of article 23"))
    message = _("the store is not the designated storage device of article 23; lateness is not judged")
    hint = _("Article 23: “{article}”. If this store is that device, set agency.designated_storage: true")
    return Check(name, Verdict.WARN, message, hint.format(article=ARTICLE_23))


def check_zone(settings: Settings, now: datetime) -> Check:
    local = now.astimezone(settings.zone)
    message = _("time zone {zone}: it is {time} there").format(
        zone=settings.agency.timezone, time=local.isoformat(timespec="minutes")
    )
    return Check("time_zone", Verdict.OK, message)


def check_profiles(folder: Path) -> Check:
    from dockd.card.profile import load_profiles

    try:
        profiles = load_profiles(folder)
    except DockdError as error:
        return failed("profiles", error)
    return Check("profiles", Verdict.OK, _("card profiles: {count} can be read").format(count=len(profiles.names)))


def check_tagging(settings: Settings) -> Iterator[Check]:
    """The bureau's list of matters, where there is one, and the words of the rules of retention."""
    from dockd.law.retention import unknown_words
    from dockd.register.matters import read_matters

    if file := settings.tags.matters:
        try:
            text = _("matters to be recorded: {count} in {file}")
            yield Check("matters", Verdict.OK, text.format(count=len(read_matters(file)), file=file))
        except DockdError as error:
            yield failed("matters", error)
    strange = unknown_words([rule.as_rule() for rule in settings.retention.rules])
    if strange:
        message = _("rules of retention that can never hold: nothing is called {words}")
        hint = _("Correct the words in retention.rules; the regulation's own are listed by: dockd record tag --help")
        yield Check("retention", Verdict.WARN, message.format(words=_(", ").join(strange)), hint)
    elif settings.retention.classes:
        text = _("retention: {classes} classes, {rules} rules")
        count = {"classes": len(settings.retention.classes), "rules": len(settings.retention.rules)}
        yield Check("retention", Verdict.OK, text.format(**count))


# --- tools -----------------------------------------------------------------------------------------


def tool_output(tool: str, argument: str) -> str | None:
    """What ``tool argument`` prints; None where the tool is not there, empty where it does not work."""
    path = shutil.which(tool)
    if path is None:
        return None
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    try:
        done = subprocess.run([path, argument], capture_output=True, timeout=20, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def check_ffprobe(output: str | None) -> Check:
    """``ffprobe -version`` begins with its version."""
    if output is None:
        return failed("ffprobe", ToolMissing(tool="ffprobe", package="ffmpeg"))
    found = re.match(r"ffprobe version (\S+)", output)
    if not found:
        return _broken("ffprobe", "ffmpeg")
    return Check("ffprobe", Verdict.OK, _("{tool} {version}").format(tool="ffprobe", version=found[1]))


def check_exiftool(output: str | None) -> Check:
    """``exiftool -ver`` is a number; older ones cannot be stopped cleanly."""
    if output is None:
        return failed("exiftool", ToolMissing(tool="exiftool", package="libimage-exiftool-perl"))
    found = re.match(r"(\d+)\.(\d+)", output)
    if not found:
        return _broken("exiftool", "libimage-exiftool-perl")
    if (int(found[1]), int(found[2])) < OLDEST_EXIFTOOL:
        message = _("exiftool {version} is too old; 12.15 or newer is needed").format(version=output.strip())
        hint = _("Upgrade it: apt install {package}").format(package="libimage-exiftool-perl")
        return Check("exiftool", Verdict.FAIL, message, hint, Exit.CONFIG)
    return Check("exiftool", Verdict.OK, _("{tool} {version}").format(tool="exiftool", version=output.strip()))


def _broken(tool: str, package: str) -> Check:
    hint = _("Install it again: apt install --reinstall {package}").format(package=package)
    return Check(tool, Verdict.FAIL, _("{tool} does not work").format(tool=tool), hint, Exit.CONFIG)


WEAKER = {
    "network_open": N_("they could reach the network"),
    "files_open": N_("they could read what you can read"),
    "privileges_kept": N_("they could gain privileges"),
    "runs_as_root": N_("they run as root"),
}


def check_parsers() -> Check:
    """How well the programs that read footage are shut in."""
    from dockd.footage.probe import isolation

    weaker = isolation().weaker
    if "not_started" in weaker:
        message = _("the programs that read footage cannot be started")
        hint = _("Check the memory limit (probe.memory) and that ffprobe and exiftool work.")
        return Check("parsers", Verdict.FAIL, message, hint, Exit.CONFIG)
    if not weaker:
        return Check("parsers", Verdict.OK, _("the programs that read footage are shut in"))
    what = "；".join(_(WEAKER[code]) if code in WEAKER else code for code in weaker)
    message = _("the programs that read footage are not fully shut in: {what}").format(what=what)
    hint = _("Run dockd as a user of its own, not as root, on a current kernel.")
    return Check("parsers", Verdict.WARN, message, hint)


def check_clock(synchronised: bool | None = None, flag: Path = Path("/run/systemd/timesync/synchronized")) -> Check:
    """Whether a time service keeps the clock, on which every deadline depends."""
    from dockd.visit.clock import is_synchronised

    if synchronised is None:
        synchronised = is_synchronised() or flag.exists()
    if synchronised:
        return Check("clock", Verdict.OK, _("the station's clock is synchronised"))
    message = _("the station's clock is not synchronised; deadlines depend on it")
    hint = _("Switch a time service on: timedatectl set-ntp true, or chrony with a time server of your network.")
    return Check("clock", Verdict.WARN, message, hint)


# --- the store ----------------------------------------------------------------------------------------


def check_store(settings: Settings) -> Iterator[Check]:
    """Whether the store can be written and keeps its promises."""
    root = settings.store.root
    scratch = root / ".dockd"
    if not scratch.is_dir():
        from dockd.errors import StoreMissing

        yield failed("store", StoreMissing(path=root))
        return
    yield check_medium(mount_of(root, _mounts()), root)
    yield check_space(shutil.disk_usage(root), settings)
    yield from check_promises(root)


def check_space(usage: tuple[int, int, int], settings: Settings) -> Check:
    """Free space against the reserve; a warning where not even one card would fit."""
    total, _used, free = usage
    reserve = settings.store.reserve.of(total)
    values = {"free": f"{free / GIB:.1f}", "reserve": f"{reserve / GIB:.1f}"}
    message = _("store: {free} GiB free, {reserve} GiB kept in reserve").format(**values)
    if free <= reserve:
        hint = _("Make room on the store, enlarge it, or lower store.reserve. Until then nothing can be stored.")
        return Check("space", Verdict.FAIL, message, hint, Exit.CANNOT_STORE)
    if free - reserve < ONE_CARD:
        return Check("space", Verdict.WARN, message, _("A full card of 32 GiB would not fit. Make room in time."))
    return Check("space", Verdict.OK, message)


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of /proc/self/mountinfo."""

    point: str
    type: str
    options: frozenset[str]


def _mounts() -> list[Mount]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        return [parse_mount(line) for line in lines]


def parse_mount(line: str) -> Mount:
    """Mount point, file system type and options (the mount's and the file system's)."""
    before, _dash, after = line.rstrip("\n").partition(" - ")
    fields, (kind, _source, options) = before.split(" "), after.split(" ", 2)
    point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
    return Mount(point, kind, frozenset(f"{fields[5]},{options}".split(",")))


def mount_of(path: Path, mounts: Sequence[Mount]) -> Mount | None:
    """The mount that ``path`` lies on: the last one of the longest matching point."""
    real = os.path.realpath(path)
    over = [m for m in mounts if real == m.point or real.startswith(m.point.rstrip("/") + "/")]
    return max(reversed(over), key=lambda m: len(m.point), default=None)


IN_MEMORY = ("tmpfs", "ramfs")
REMOTE = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse", "fuseblk")
WITHOUT_OWNERS = ("vfat", "msdos", "exfat", "ntfs", "ntfs3")


def check_medium(mount: Mount | None, root: Path) -> Check:
    """What the store's file system is, and what that promises."""
    if mount is None:
        return Check(
            "medium",
            Verdict.WARN,
            _("it is unknown what file system the store {path} is on").format(path=root),
            _("Keep the store on a local ext4 or xfs file system that /proc/self/mountinfo names."),
        )
    values = {"type": mount.type, "path": mount.point}
    if "ro" in mount.options:
        from dockd.errors import StoreReadOnly

        return failed("medium", StoreReadOnly(path=root))
    if mount.type in IN_MEMORY:
        message = _("the store is on {type} ({path}): memory, not a medium").format(**values)
        return Check("medium", Verdict.WARN, message, _("It is lost when the power fails. Put the store on a disk."))
    if mount.type.partition(".")[0] in REMOTE:
        message = _("the store is on {type} ({path}): its promises are those of its server or driver").format(**values)
        return Check("medium", Verdict.WARN, message, _("A local disk with ext4, xfs or btrfs keeps its word itself."))
    if mount.type in WITHOUT_OWNERS:
        message = _("the store is on {type} ({path}), which knows no owners and no journal").format(**values)
        return Check("medium", Verdict.WARN, message, _("Use a disk with ext4, xfs or btrfs."))
    if mount.options & {"nobarrier", "barrier=0"}:
        message = _("the store is on {type} ({path}), mounted without write barriers").format(**values)
        return Check("medium", Verdict.WARN, message, _("Mount it with barriers, or a power cut may lose footage."))
    return Check("medium", Verdict.OK, _("the store is on {type} ({path})").format(**values))


def check_promises(store: Path) -> Iterator[Check]:
    """Tries on the store what storing relies on: write, fsync, read-back, rename without replacing, locks."""
    from dockd.offload.promises import try_promises

    try:
        found = try_promises(str(store))
    except DockdError as error:
        yield failed("store", error)
        return
    if found.past_cache:
        yield Check("store", Verdict.OK, _("the store can be written, synced and read back from the medium"))
    else:
        message = _("the store can be written, but not be read past the cache: proof is weaker here")
        yield Check("store", Verdict.WARN, message, _("A local disk with ext4, xfs or btrfs gives full proof."))
    if found.keeps_names:
        yield Check("rename", Verdict.OK, _("the store never replaces a file by renaming another"))
    else:
        message = _("the store's file system replaced a file that it should not have replaced")
        yield Check("rename", Verdict.FAIL, message, _("Use a disk with ext4, xfs or btrfs."), Exit.CANNOT_STORE)
    if not found.no_locks:
        yield Check("locks", Verdict.OK, _("the store keeps two processes from one card at once (locks)"))
    else:
        hint = _("Let the share give locks (its server and its mount options), or use a local disk.")
        yield Check("locks", Verdict.FAIL, found.no_locks, hint, Exit.CANNOT_STORE)


# --- the register --------------------------------------------------------------------------------------


def check_register(open_station: Callable[[], Station]) -> Iterator[Check]:
    """The register can be opened, is whole, agrees with the ledger's mirror; what is unfinished or undelivered."""
    from dockd.cli import alertchecks

    try:
        station = open_station()
        yield check_integrity(station)
        yield check_mirror(station)
        yield check_visits(station)
        yield from alertchecks.check_channels(station)
    except DockdError as error:
        yield failed("register", error)


def check_integrity(station: Station) -> Check:
    from dockd.errors import RegisterCorrupt
    from dockd.register.session import check_integrity as problems_in

    problems = problems_in(station.register)
    if problems:
        return failed("register", RegisterCorrupt(url=station.register.shown, reason=problems[0]))
    return Check("register", Verdict.OK, _("the register {url} is whole").format(url=station.register.shown))


def check_mirror(station: Station) -> Check:
    """The mirror ends with a line of the register. Whether every line is right is ``dockd ledger verify``'s to say."""
    from dockd.errors import LedgerBroken
    from dockd.register.chain import parse
    from dockd.register.ledger import head
    from dockd.register.mirror import lines_after

    with station.register.read() as session:
        end = head(session, station.station_no).seq
    last = _last_mirrored(station)
    told = parse(last) if last else None
    if last is not None and told is None:
        return failed("ledger", LedgerBroken(seq="?", reason=_("the mirror's last line is no line of a ledger")))
    seq = told.seq if told else 0
    line = lines_after(station.register, station.station_no, seq - 1)[:1] if seq else []
    if seq and not (line and line[0].seq == seq and line[0].text.encode() == last):
        return failed("ledger", LedgerBroken(seq=seq, reason=_("the register does not know the mirror's last line")))
    message = _("ledger: {lines} lines, {mirrored} of them mirrored in the store")
    return Check("ledger", Verdict.OK, message.format(lines=end, mirrored=seq))


def _last_mirrored(station: Station) -> bytes | None:
    from dockd.register.mirror import files_of, folder_of, read_tail

    folder = folder_of(station.store, station.station_no)
    for name in reversed(files_of(folder)):
        if (line := read_tail(f"{folder}/{name}").line) is not None:
            return line
    return None


def check_visits(station: Station) -> Check:
    from dockd.register.visits import unfinished

    with station.register.read() as session:
        count = len(unfinished(session, station.station_no))
    if count:
        message = _("{count} visits are not finished").format(count=count)
        return Check("visits", Verdict.WARN, message, _("Dock the recorder again: its visit goes on where it stopped."))
    return Check("visits", Verdict.OK, _("no visit is unfinished"))
