"""A card's file system mounted so that nothing on it can change, in no mount table, as one open directory.

``fsopen`` and ``fsmount`` (Linux 5.2) make a mount that has no place: it exists as long as a
descriptor does. Options are fixed per type of file system; no caller has a say in them.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator

from dockd.broker import device
from dockd.broker.wire import Head, OpenCard
from dockd.errors import CardUnmountable, DeviceGone, FileSystemNotRead

Owner = tuple[int, int]
"""User and group that see the files of a file system that knows no owners as their own."""

# FAT stores the recorder's wall clock without a zone: it is shown as if it were UTC and converted in software.
# Without noload and norecovery ext4 and XFS replay their journal, which changes the card, ro or not. nouuid:
# two cards that were written from one image have one UUID.
_OPTIONS = {
    "vfat": ("fmask=0333", "dmask=0222", "utf8=1", "tz=UTC"),
    "exfat": ("fmask=0333", "dmask=0222", "iocharset=utf8", "time_offset=0"),
    "ntfs3": ("fmask=0333", "dmask=0222", "iocharset=utf8"),
    "udf": ("mode=0444", "dmode=0555", "iocharset=utf8"),
    "iso9660": ("mode=0444", "dmode=0555", "iocharset=utf8"),
    "ext4": ("noload",),
    "xfs": ("norecovery", "nouuid"),
}
_OWNERLESS = frozenset({"vfat", "exfat", "ntfs3", "udf", "iso9660"})
# Offset and length: FAT's and exFAT's boot sector (without its program), ext's magic and state. Of FAT also the
# first entries of its table, whose place the boot sector tells.
_HEADS = {"vfat": ((0, 128), (510, 2)), "exfat": ((0, 128),), "ext4": ((1080, 4),)}
_KERNEL_NAMES = {"ntfs": "ntfs3"}  # how udev names it, where the kernel's name is another
GENERAL = ("ro", "nosuid", "nodev", "noexec", "noatime")
_PROMISED = os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME
_ATTRIBUTES = 0x1F  # MOUNT_ATTR_: RDONLY, NOSUID, NODEV, NOEXEC, NOATIME

_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_CLOEXEC = 1
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6


def open_card(number: int, diskseq: int, *, owner: Owner, tree: str = "/") -> OpenCard:
    """The card in the device ``number``, if that is marked for dockd, free, and still holds the medium ``diskseq``.

    Raises a subclass of CardNotOpened; then nothing is mounted.
    """
    found = device.find(number, tree=tree)
    fs_type = _KERNEL_NAMES.get(found.fs_type, found.fs_type)
    if fs_type not in _OPTIONS:
        raise FileSystemNotRead(device=found.name, reason=fs_type or "-")
    held = device.hold(found, diskseq)
    try:
        heads = heads_of(held, fs_type)
        root = _mount(found, fs_type, owner)
        # A reader's slot keeps its number when the card in it is changed.
        if device.media(held) != diskseq:
            os.close(root)
            raise DeviceGone(device=found.name)
    finally:
        os.close(held)
    return OpenCard(root, fs_type, (*GENERAL, *options_of(fs_type, owner)), heads)


def heads_of(held: int, fs_type: str) -> tuple[Head, ...]:
    """Those few bytes of the device in which a file system says whether it was closed properly.

    What they mean is for who asked. None for a type that has no such place, or where the device does not give
    them: the mount says why.
    """
    try:
        heads = [Head(at, os.pread(held, length, at)) for at, length in _HEADS.get(fs_type, ())]
        if fs_type == "vfat":
            (sector, reserved) = struct.unpack_from("<HxH", heads[0].data, 11)
            heads.append(Head(sector * reserved, os.pread(held, 8, sector * reserved)))
    except (OSError, struct.error):
        return ()
    return tuple(heads)


def options_of(fs_type: str, owner: Owner) -> tuple[str, ...]:
    """What a file system of this type is mounted with, apart from what holds for all."""
    owners = (f"uid={owner[0]}", f"gid={owner[1]}") if fs_type in _OWNERLESS else ()
    return (*owners, *_OPTIONS[fs_type])


def _mount(found: device.Device, fs_type: str, owner: Owner) -> int:
    """The root directory of the mounted file system, open for reading."""
    try:
        mounted = _detached(fs_type, found.node, ("ro", *options_of(fs_type, owner)))
    except OSError as error:
        raise CardUnmountable(device=found.name, reason=error.strerror or str(error)) from error
    try:
        root = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mounted)
    except OSError as error:
        raise CardUnmountable(device=found.name, reason=error.strerror or str(error)) from error
    finally:
        os.close(mounted)
    if os.fstat(root).st_dev != found.number or os.fstatvfs(root).f_flag & _PROMISED != _PROMISED:
        os.close(root)
        raise CardUnmountable(device=found.name, reason="st_dev, f_flag")
    return root


def _detached(fs_type: str, source: str, options: tuple[str, ...]) -> int:
    context = _call(_FSOPEN, fs_type.encode(), _CLOEXEC)
    try:
        _call(_FSCONFIG, context, _SET_STRING, b"source", os.fsencode(source), 0)
        for command, key, value in _settings(options):
            _call(_FSCONFIG, context, command, key, value, 0)
        _call(_FSCONFIG, context, _CREATE, None, None, 0)
        return _call(_FSMOUNT, context, _CLOEXEC, _ATTRIBUTES)
    finally:
        os.close(context)


def _settings(options: tuple[str, ...]) -> Iterator[tuple[int, bytes, bytes | None]]:
    for option in options:
        key, equals, value = option.partition("=")
        yield (_SET_STRING, key.encode(), value.encode()) if equals else (_SET_FLAG, key.encode(), None)


def _call(number: int, *arguments: int | bytes | None) -> int:
    # As long as a register each: an int alone would leave the upper half of one undefined.
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *passed))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
