"""Which card this is, from what the kernel and udev say of its file system, without reading a recording.

Where the directory is not the root of a file system with an identity of its own, the directory
itself is the identity, so that the same folder is known again however often files are added.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dockd.nouns import CardIdentity, Classified

_AT_EMPTY_PATH = 0x1000
_STATX_BTIME = 0x800
_STATX_BYTES = 256
_MOUNT_ROOT = 0x2000
_FAT = frozenset({"vfat", "msdos", "exfat"})
_WALL_OPTIONS = frozenset({"tz=UTC", "time_offset=0"})
_USB_PORT = re.compile(r"\d+-\d+(?:\.\d+)*")


def identify_card(path: str, root_fd: int, *, tree: str = "/", detached: Mount | None = None) -> CardIdentity:
    """What can be said of the card whose root is open as ``root_fd`` and was reached as ``path``.

    ``detached`` is what is known of a mount that stands in no mount table (``detached_mount``).

    ``instance`` stays the same while files come and go, and changes when the card is formatted
    or another card is put in. ``size`` and ``free`` are bytes. ``tree`` is where ``/run``,
    ``/dev`` and ``/sys`` are looked for. Raises OSError when the directory itself is gone.
    """
    mount = detached or _mount_of(root_fd)
    status = os.fstat(root_fd)
    shape = os.fstatvfs(root_fd)
    extended = _statx(root_fd)
    volume = _Volume()
    if _is_file_system_root(path, mount, extended):
        volume = _look_up(_device_of(status.st_dev, mount), tree)
    fs_type = volume.fs_type or (mount.fs_type if mount else None)
    size = shape.f_blocks * shape.f_frsize
    return CardIdentity(
        instance=(
            f"fs:{volume.fs_uuid}:{fs_type or '-'}:{volume.size or size}"
            if volume.fs_uuid
            else _directory_instance(status, extended, mount)
        ),
        label=volume.label,
        fs_uuid=volume.fs_uuid,
        fs_type=fs_type,
        size=size,
        free=shape.f_bavail * shape.f_frsize,
        usb_serial=volume.usb_serial,
        usb_path=volume.usb_path,
        mtime_is_wall=mount is not None and mount.shows_wall_time,
        writable=not shape.f_flag & os.ST_RDONLY,
    )


def majority_device(
    classified: Iterable[Classified], known: Callable[[str], str | None]
) -> tuple[str | None, tuple[str, ...]]:
    """The registered recorder that most of the names speak of, and every one that any name speaks of.

    ``known`` says which recorder a device token is. A name counts where a token of it is known;
    it votes only where all its readings agree on one recorder. The winner has more than half of
    the names that count; the candidates come most often named first.
    """
    cache: dict[str, str | None] = {}
    votes: Counter[str] = Counter()
    mentions: Counter[str] = Counter()
    counted = 0
    for tokens in (_device_tokens(one) for one in classified):
        for token in tokens - cache.keys():
            cache[token] = known(token)
        named = {device for token in tokens if (device := cache[token])}
        counted += bool(named)
        mentions.update(named)
        votes.update(named if len(named) == 1 else ())
    candidates = tuple(sorted(mentions, key=lambda device: (-mentions[device], device)))
    winner = next((device for device in candidates if votes[device] * 2 > counted), None)
    return winner, candidates


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo. ``root`` is the part of the file system that is mounted."""

    mount_id: int
    root: str
    point: str
    fs_type: str
    source: str
    options: frozenset[str]

    @property
    def shows_wall_time(self) -> bool:
        """Whether mtimes are the recorder's wall clock shown as if it were UTC: FAT knows no zone."""
        return self.fs_type in _FAT and bool(self.options & _WALL_OPTIONS)


def detached_mount(fs_type: str, options: Iterable[str]) -> Mount:
    """A whole file system that is mounted nowhere but in a descriptor, as whoever mounted it tells."""
    return Mount(0, "/", "", fs_type, "", frozenset(options))


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """The mounts in ``/proc/<pid>/mountinfo``; lines that are none are passed over."""
    found: list[Mount] = []
    for line in text.splitlines():
        left, dash, right = line.partition(" - ")
        fields, tail = left.split(" "), right.split(" ")
        if not dash or len(fields) < 6 or len(tail) < 3 or not fields[0].isdigit():
            continue
        options = frozenset((fields[5] + "," + tail[2]).split(","))
        found.append(
            Mount(int(fields[0]), _unoctal(fields[3]), _unoctal(fields[4]), tail[0], _unoctal(tail[1]), options)
        )
    return tuple(found)


def parse_udev(text: str) -> dict[str, str]:
    """The properties in a file of udev's database."""
    pairs = (line[2:].partition("=") for line in text.splitlines() if line.startswith("E:"))
    return {key: value for key, separator, value in pairs if separator}


def unescape_udev(text: str) -> str:
    """A value as udev writes it, with ``\\x20`` and the like; UTF-8, or GB18030 as Chinese Windows labels a card."""
    raw = re.sub(
        rb"\\x([0-9A-Fa-f]{2})", lambda code: bytes([int(code[1], 16)]), text.encode("utf-8", "surrogateescape")
    )
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("utf-8", "backslashreplace")


def usb_port(sysfs_path: str) -> str | None:
    """The path of the USB port in a device's place in sysfs (``1-1.4``), None off USB."""
    ports = [part for part in sysfs_path.split("/") if _USB_PORT.fullmatch(part)]
    return ports[-1] if ports else None


@dataclass(frozen=True, slots=True)
class _Volume:
    """A block device's file system as udev sees it."""

    fs_uuid: str | None = None
    fs_type: str | None = None
    label: str | None = None
    size: int | None = None
    usb_serial: str | None = None
    usb_path: str | None = None


@dataclass(frozen=True, slots=True)
class _Extended:
    """What statx knows beyond stat: when the directory was made, whether a mount begins here."""

    born_ns: int | None = None
    is_mount_root: bool | None = None


def _look_up(device: int | None, tree: str) -> _Volume:
    if device is None:
        return _Volume()
    number = f"{os.major(device)}:{os.minor(device)}"
    said = parse_udev(_text(os.path.join(tree, "run/udev/data", f"b{number}")))
    sysfs = os.path.join(tree, "sys/dev/block", number)
    sectors = _text(os.path.join(sysfs, "size")).strip()
    return _Volume(
        fs_uuid=said.get("ID_FS_UUID") or _link_to(device, os.path.join(tree, "dev/disk/by-uuid")),
        fs_type=said.get("ID_FS_TYPE"),
        label=_label(said) or _link_to(device, os.path.join(tree, "dev/disk/by-label")),
        size=int(sectors) * 512 if sectors.isdigit() else None,
        usb_serial=said.get("ID_USB_SERIAL_SHORT") or _bus_serial(said),
        usb_path=usb_port(os.path.realpath(sysfs)),
    )


def _label(said: Mapping[str, str]) -> str | None:
    encoded = said.get("ID_FS_LABEL_ENC")
    return unescape_udev(encoded) if encoded else said.get("ID_FS_LABEL")


def _bus_serial(said: Mapping[str, str]) -> str | None:
    return said.get("ID_SERIAL_SHORT") if said.get("ID_BUS") == "usb" else None


def _link_to(device: int, folder: str) -> str | None:
    """The name under which a folder of links points at a block device."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return None
    for name in names:
        try:
            if os.stat(os.path.join(folder, name)).st_rdev == device:
                return unescape_udev(name)
        except OSError:
            continue
    return None


def _device_of(st_dev: int, mount: Mount | None) -> int | None:
    """The block device under a mount; FUSE and btrfs show a number of their own, so the source is asked."""
    if os.major(st_dev):
        return st_dev
    if not mount or not mount.source.startswith("/dev/"):
        return None
    try:
        return os.stat(mount.source).st_rdev or None
    except OSError:
        return None


def _mount_of(root_fd: int) -> Mount | None:
    """The mount that the directory is on, None for one that this process's namespace does not show."""
    said = re.search(r"^mnt_id:\s*(\d+)$", _text(f"/proc/self/fdinfo/{root_fd}"), re.MULTILINE)
    mounts = parse_mountinfo(_text("/proc/self/mountinfo"))
    return next((mount for mount in mounts if said and mount.mount_id == int(said[1])), None)


def _is_file_system_root(path: str, mount: Mount | None, extended: _Extended) -> bool:
    if mount and mount.root != "/":
        return False
    if mount and not mount.point:
        return True
    if extended.is_mount_root is None:
        return mount is not None and os.path.realpath(path) == mount.point
    return extended.is_mount_root


def _directory_instance(status: os.stat_result, extended: _Extended, mount: Mount | None) -> str:
    facts: list[int | str | None] = [status.st_dev, status.st_ino, extended.born_ns]
    if extended.born_ns is None and mount:
        # FUSE knows no birth, and its numbers come again with the next card.
        facts += [mount.fs_type, mount.source]
    return "dir:" + hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def _statx(fd: int) -> _Extended:
    """Python 3.11 has no statx; without it (an old libc) less is known and nothing fails."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "statx", None)
    buffer = ctypes.create_string_buffer(_STATX_BYTES)
    if call is None or call(fd, b"", _AT_EMPTY_PATH, _STATX_BTIME, buffer) != 0:
        return _Extended()
    mask, _, attributes = struct.unpack_from("=IIQ", buffer, 0)
    (known_attributes,) = struct.unpack_from("=Q", buffer, 56)
    seconds, nanoseconds = struct.unpack_from("=qI", buffer, 80)
    return _Extended(
        born_ns=seconds * 10**9 + nanoseconds if mask & _STATX_BTIME else None,
        is_mount_root=bool(attributes & _MOUNT_ROOT) if known_attributes & _MOUNT_ROOT else None,
    )


def _device_tokens(one: Classified) -> set[str]:
    return {reading.device for reading in one.parsed.readings if reading.device} if one.parsed else set()


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _unoctal(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), text)
