"""Shut a process in before it lets a parser near bytes from a card.

``confine`` takes from the calling process, and from everything it starts, what reading
one batch of files does not need: the network, writing, other people's files, memory
and time without end. It cannot be undone. What the kernel does not grant is named,
not fatal: footage is described more weakly confined rather than not at all.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

NETWORK_OPEN = "network_open"
FILES_OPEN = "files_open"
PRIVILEGES_KEPT = "privileges_kept"
RUNS_AS_ROOT = "runs_as_root"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of each process in the batch: bytes of address space, CPU seconds, open files."""

    memory_bytes: int
    cpu_seconds: int
    open_files: int


def confine(bounds: Bounds, batch: Iterable[str]) -> tuple[str, ...]:
    """Confine this process for good to reading ``batch`` (and the programs that read it).

    Must be called before a thread is started. Returns codes of what stays open:
    ``network_open``, ``files_open``, ``privileges_kept``, ``runs_as_root``; empty is best.
    Raises OSError only if the resource limits themselves are refused.
    """
    weaker = [RUNS_AS_ROOT] if os.geteuid() == 0 else []
    if _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        weaker.append(PRIVILEGES_KEPT)
    if not _has_no_network() and not _cut_network():
        weaker.append(NETWORK_OPEN)
    _limit(bounds)
    if not _fence_files(batch):
        weaker.append(FILES_OPEN)
    return tuple(weaker)


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send ``signal_number`` when the thread that started this process ends.

    Call it after ``confine``: a change of credentials forgets it.
    """
    _libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def _has_no_network() -> bool:
    """Whether systemd has cut it already (PrivateNetwork=): then there is no interface but the loopback."""
    try:
        with open("/proc/self/net/dev", encoding="ascii") as lines:
            return {line.split(":")[0].strip() for line in lines if ":" in line} <= {"lo"}
    except OSError:
        return False


def _cut_network() -> bool:
    # Root needs no user namespace, and in one it could not read files of the service's user any more.
    own = CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWUSER | CLONE_NEWNET
    return bool(_libc.unshare(own) == 0)


def _limit(bounds: Bounds) -> None:
    # No RLIMIT_NPROC: it counts every process of the user, not those of this batch.
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CPU, bounds.cpu_seconds),
        (resource.RLIMIT_NOFILE, bounds.open_files),
        (resource.RLIMIT_AS, bounds.memory_bytes),
    ):
        hard = resource.getrlimit(kind)[1]
        granted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (granted, granted))


# --- files: Landlock (Linux 5.13), which needs no privilege -------------------------------------------

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ABI_QUESTION = 1
_RULE_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_RIGHTS_OF_ABI = {1: 13, 2: 14, 3: 15}
"""How many rights (bits from 0) each version of Landlock knows: all of them are denied unless allowed."""

_FOR_PROGRAMS = _EXECUTE | _READ_FILE | _READ_DIR
_SYSTEM = (
    *("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/sys/devices/system"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload"),
    *("/etc/alternatives", "/etc/perl", "/etc/localtime", "/etc/timezone", "/dev/zero", "/dev/urandom"),
)


def _fence_files(batch: Iterable[str]) -> bool:
    abi = _libc.syscall(_CREATE_RULESET, None, 0, _ABI_QUESTION)
    if abi < 1:
        return False
    handled = (1 << _RIGHTS_OF_ABI[min(abi, max(_RIGHTS_OF_ABI))]) - 1
    asked = struct.pack("=Q", handled)
    ruleset = _libc.syscall(_CREATE_RULESET, asked, len(asked), 0)
    if ruleset < 0:
        return False
    try:
        for path in _program_places():
            _allow(ruleset, path, _FOR_PROGRAMS)
        _allow(ruleset, os.devnull, _READ_FILE | _WRITE_FILE)
        for path in batch:
            _allow(ruleset, path, _READ_FILE)
        return bool(_libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Allow ``rights`` on a path that exists; one that does not needs no rule."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not _is_directory(fd):
            rights &= ~_READ_DIR
        rule = struct.pack("=Qi", rights, fd)
        _libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(fd)


def _is_directory(fd: int) -> bool:
    return os.fstat(fd).st_mode & 0o170000 == 0o040000


def _program_places() -> Iterator[str]:
    """Where Python, ffprobe, exiftool and their libraries lie."""
    yield from _SYSTEM
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix)
    for place in filter(None, sys.path):
        # A checkout may hold a station beside the code: only the package itself is needed of it.
        installed = os.path.basename(place) in ("site-packages", "dist-packages")
        yield place if installed else os.path.join(place, "dockd")
    for tool in (shutil.which("ffprobe"), shutil.which("exiftool"), sys.executable):
        if tool:
            bin_dir = os.path.dirname(os.path.realpath(tool))
            prefix = os.path.dirname(bin_dir)
            yield bin_dir if prefix == "/" else prefix


_libc = ctypes.CDLL(None, use_errno=True)
