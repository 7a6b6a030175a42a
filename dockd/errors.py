"""Every failure a person can meet: what happened, what to do, and the exit code.

A class is one failure. ``message`` and ``hint`` are templates in English (the
gettext keys); the fields given to the constructor fill them. ``str(error)`` is
English; people's screens use ``render`` with the station's language.

Three families are never mixed (law 4 of the house): ``CardError`` (that file
fails, the rest goes on), ``StoreError`` (everything waits, nothing is lost) and
``Bug`` (ours: that worker ends, the daemon lives).
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from enum import IntEnum
from typing import Any, ClassVar

Translate = Callable[[str], str]


class Exit(IntEnum):
    """Exit codes that other programs rely on."""

    DONE = 0
    BUG = 1
    USAGE = 2
    PARTIAL = 3
    CANNOT_STORE = 4
    PROOF_FAILED = 5
    REFUSED = 6
    CONFIG = 7


class DockdError(Exception):
    """A failure with a message, a hint and an exit code."""

    message: ClassVar[str] = "something went wrong"
    hint: ClassVar[str] = ""
    exit_code: ClassVar[Exit] = Exit.BUG

    def __init__(self, **fields: Any) -> None:
        super().__init__()
        self.fields = fields

    @property
    def name(self) -> str:
        """The stable snake_case name that logs and --json carry."""
        return "".join("_" + c.lower() if c.isupper() else c for c in type(self).__name__).lstrip("_")

    def render(self, translate: Translate) -> str:
        """What happened, in the language of ``translate``."""
        return translate(self.message).format(**self.fields)

    def render_hint(self, translate: Translate) -> str:
        """What to do about it, or an empty string."""
        return translate(self.hint).format(**self.fields) if self.hint else ""

    def __str__(self) -> str:
        return self.render(lambda text: text)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.fields))


def _rebuild(cls: type[DockdError], fields: dict[str, Any]) -> DockdError:
    return cls(**fields)


# --- wrong use (2) ---------------------------------------------------------------------------


class WrongUse(DockdError):
    """An argument that cannot be right."""

    exit_code = Exit.USAGE
    message = "{text}"


class PathMissing(WrongUse):
    message = "there is nothing at {path}"
    hint = "Give the directory where the recorder's card is mounted."


class PathNotDirectory(WrongUse):
    message = "{path} is not a directory"
    hint = "Give the directory where the recorder's card is mounted, not a file on it."


class PathIsStore(WrongUse):
    message = "{path} overlaps with the store {store}"
    hint = "The card and the store must be different places. Give the directory of the card."


class PathUnreadable(WrongUse):
    message = "{path} cannot be opened: {reason}"
    hint = "Check that the card is mounted and that you may read it."


class UnknownNumber(WrongUse):
    message = "no {noun} with the number {number} is registered"
    hint = "List what is registered with: {command}"


class BadValue(WrongUse):
    message = "{what}: {value} is not acceptable: {expected}"


class NoteIncomplete(WrongUse):
    message = "the note on an interruption lacks: {lacking}"
    hint = (
        "Article 22: the cause spoken on restart (--form voice, --position where it is heard), or a written account "
        "(--form written, --doc-no) that two officers have signed (--signed-by twice)."
    )


class ReservedNumber(WrongUse):
    message = "{number} is a number that recorders use for 'not set'"
    hint = "Set the recorder's own number first, or register it under the bureau's number."


class AlreadyRegistered(WrongUse):
    message = "{noun} {number} is already registered"
    hint = "Look at it with: {command}"


class StationExists(WrongUse):
    message = "{path} already holds a station"
    hint = "Choose another directory. Nothing was changed."


class RegisterNotEmpty(WrongUse):
    message = "the database {url} is not empty: it holds {tables} tables"
    hint = "Make an empty database, name it in register.url and run dockd rebuild again. Nothing was changed."


class NotEmpty(WrongUse):
    message = "{path} is not empty"
    hint = "Choose a new directory. Nothing was changed."


class ImportRejected(WrongUse):
    message = "{file}: {bad} of {lines} lines cannot be taken"
    hint = "Correct the lines named above and import the file again; lines already taken do no harm."


class NotACsv(WrongUse):
    message = "{file} cannot be read as a table: {reason}"
    hint = "Save it as CSV (UTF-8 or GB18030) with a header line. Known headers: {headers}"


# --- the card (3 at the end of a visit) --------------------------------------------------------


class CardError(DockdError):
    """The card's trouble with one file. The rest of the card goes on."""

    exit_code = Exit.PARTIAL
    message = "{path} on the card: {reason}"
    hint = "Everything else on the card was handled. Try the card again; if it fails again, keep the card aside."


class CardFileUnreadable(CardError):
    message = "{path} on the card cannot be read at byte {offset}: {reason}"


class CardFileChanged(CardError):
    message = "{path} on the card changed while it was read"
    hint = "Stop recording, wait until the recorder has closed the file, and dock it again."


class CardFileReplaced(CardError):
    message = "{path} on the card is no longer the file that was listed"
    hint = "Dock the recorder again so that the card is listed anew."


class CardGone(CardError):
    message = "the card was removed while {path} was read"
    hint = "Put the recorder back: copying goes on where it stopped."


class SourceUnsteady(CardError):
    message = "{path} on the card returned other bytes when it was read a second time"
    hint = "The card or reader is failing. Keep the card aside and copy it with another reader."


class NotAnswering(DockdError):
    exit_code = Exit.PARTIAL
    message = "the card does not answer; the visit was given up"
    hint = "Unplug the recorder, plug it in again. What was stored is safe."


# --- the store and the register (4) --------------------------------------------------------------


class StoreError(DockdError):
    """The store cannot take data now. What is stored is safe; run again."""

    exit_code = Exit.CANNOT_STORE
    message = "the store cannot take data: {reason}"
    hint = "What is stored is safe. Put the store right and run the same command again."


class StoreFull(StoreError):
    message = "the store {path} is full: {need} needed, {free} free, {reserve} kept in reserve"
    hint = "Make room on the store or enlarge it, then run the same command again. What is stored is safe."


class StoreFilled(StoreFull):
    message = "the store {path} has no room left, or its quota is used up"


class StoreReadOnly(StoreError):
    message = "the store {path} is read-only"
    hint = "Often a failing disk: check it (dmesg), remount it writable, then run the same command again."


class StoreFailing(StoreError):
    message = "the store {path} failed: {reason}"
    hint = "Check the disk (dmesg, smartctl). What was proven before is kept; run the same command again."


class StoreUnfit(StoreError):
    message = "the store {path} does not keep what storing relies on: {reason}"
    hint = "Use a local disk with ext4, xfs or btrfs, or let the share give it (its server and its mount options)."


class StoreMissing(StoreError):
    message = "the store {path} is not there, or is not this station's store"
    hint = "Mount the store's disk. If the store was moved, set store.root in the configuration."


class StoreNotPrivate(StoreError):
    message = "the store {path} cannot be written: {reason}"
    hint = "Give the user that runs dockd write access to the store."


class VisitBusy(StoreError):
    message = "a visit of this card is still at work in another process"
    hint = "Wait until it has ended, then run the same command again."


class StationBusy(StoreError):
    message = "a visit is at work on this station in another process, or another rebuild"
    hint = "Wait until it has ended, then run the same command again."


class WorkerDied(StoreError):
    message = "the process that reads the card ended unexpectedly ({reason})"
    hint = "What is stored is safe. Run the same command again; it goes on where it stopped."


class ServiceAway(StoreError):
    message = "the service does not answer at {control}"
    hint = "Look at it and start it: systemctl status dockd, systemctl start dockd. Then run the command again."


class ServiceRuns(StoreError):
    message = "a service of this station runs already: it answers at {control}"
    hint = "Look at it with: systemctl status dockd. A station has one service."


class ServiceBusy(StoreError):
    message = "the service has too many commands at work, or has just refused you too many"
    hint = "Wait a minute, then run the command again."


class ServiceLost(StoreError):
    message = "the service ended before the command did"
    hint = (
        "What is stored is safe. See what was done (dockd visit list, dockd ledger head), then run the command again."
    )


class ServiceAtWork(StoreError):
    message = "the service is at work on this station, and this can only be done without it"
    hint = "Stop it (systemctl stop dockd), run the command as root, and start it again (systemctl start dockd)."


class RegisterLocked(StoreError):
    message = "the register is locked by another program (waited {seconds} s)"
    hint = "Close the other program and run the same command again."


class RegisterUnreachable(StoreError):
    message = "the register {url} cannot be reached: {reason}"
    hint = "Check register.url in the configuration and that the database runs. What is stored is safe."


class RegisterFull(StoreFull):
    message = "the register {path} cannot grow: its disk is full, or its quota is used up"
    hint = "Make room on the disk of the register, then run the same command again. What is stored is safe."


class RegisterReadOnly(StoreReadOnly):
    message = "the register {path} is read-only"
    hint = "Often a failing disk: check it (dmesg), make the register writable, then run the same command again."


class RegisterFailing(StoreFailing):
    message = "the register {path} failed: {reason}"
    hint = "Check its disk (dmesg, smartctl), then run the same command again. What is stored is safe."


class RegisterNotPrivate(StoreNotPrivate):
    message = "the register {path} cannot be written: {reason}"
    hint = "Give the user that runs dockd write access to the register and to its folder."


class RegisterAbsent(StoreError):
    message = "the register {url} does not exist, but the store {store} holds footage"
    hint = (
        "Never start an empty register over a store. Restore the register from its backup, "
        "or make it again with: dockd rebuild"
    )


class RegisterOutdated(StoreError):
    message = "the register is of revision {found}; this dockd needs {wanted}"
    hint = "Upgrade it with: dockd check --migrate (it makes a backup first)"


class RegisterTooNew(RegisterOutdated):
    message = "the register is of revision {found}; this dockd knows revisions up to {wanted} only"
    hint = "Install the dockd that last wrote it, or a newer one. Nothing was changed."


class RegisterInUse(StoreError):
    message = "the register {url} is in use: {reason}"
    hint = "Stop dockd, wait until visits have ended, close every program that has the register open, then try again."


class ExportUnwritable(StoreError):
    message = "{path} cannot be written: {reason}"
    hint = "Check the folder and its permissions, then run the command again. The old file is untouched."


# --- proof (5) ---------------------------------------------------------------------------------


class ProofFailed(DockdError):
    """A digest, the ledger or the register disagrees with the store."""

    exit_code = Exit.PROOF_FAILED
    message = "{text}"
    hint = "Do not change anything. Keep this output and call the administrator."


class CopyDiffers(ProofFailed):
    message = "{path}: what was read back from the store differs from what was read from the card (twice)"
    hint = (
        "The store's disk, its cable or the memory is failing. Nothing was called stored. "
        "Check the hardware before you go on."
    )


class StoredFileMissing(ProofFailed):
    message = "{location} is in the register but not in the store"


class StoredFileAltered(ProofFailed):
    message = "{location} in the store is not what was stored ({reason})"


class SidecarInvalid(ProofFailed):
    message = "a sidecar cannot be read: {reason}"
    hint = "It was changed or damaged after it was written. Keep it; a new one can be made from the register."


class LedgerBroken(ProofFailed):
    message = "the ledger is broken at line {seq}: {reason}"


class RegisterCorrupt(ProofFailed):
    message = "the register {url} is damaged: {reason}"
    hint = "Stop dockd and make the register again from the store with: dockd rebuild (the damaged file is kept)"


# --- rules (6) ---------------------------------------------------------------------------------


class Refused(DockdError):
    """A rule forbids it."""

    exit_code = Exit.REFUSED
    message = "{text}"


class RecorderNotRegistered(Refused):
    message = "this recorder is not registered ({evidence}); its card was not copied"
    hint = (
        "Register it (dockd recorder add …) or name it (--device-no N). "
        "To take unregistered recorders too, set unknown_recorder: ingest"
    )


class IssueRefused(Refused):
    message = "recorder {device_no} cannot be issued: {reason}"
    hint = "If it must be, give a reason with --override; it is traced."


class ReturnRefused(Refused):
    message = "recorder {device_no} cannot be returned: {reason}"
    hint = "Look at who had it: dockd recorder show {device_no}. A return that was forgotten is recorded with --at."


class ActRefused(Refused):
    message = "recorder {device_no}: {act} cannot be entered: {reason}"
    hint = "Look at what happened to it: dockd recorder show {device_no}"


class NotPermitted(Refused):
    message = "{person} may not do this ({action})"
    hint = "Ask the person whose task it is. It is a task of the members of: {groups}"


# --- a card that cannot be had -----------------------------------------------------------------


class CardNotOpened(Refused):
    """The card in a device cannot be had. Fields of every kind: ``device``, ``reason``."""

    message = "the card in {device} was not opened: {reason}"


class DeviceNotMarked(CardNotOpened):
    message = "{device} is not a recorder's device and stays untouched"
    hint = "If it is one, name its bay under bays, or its kind under devices, in the configuration."


class DeviceNotPluggable(CardNotOpened):
    message = "{device} is neither on USB nor in a card slot and stays untouched"
    hint = "Disks inside this computer are never read as cards."


class DeviceGone(CardNotOpened):
    message = "{device} is no longer there, or another card is in it by now"
    hint = "Put the recorder back."


class CardMountedElsewhere(CardNotOpened):
    message = "the card in {device} is mounted by another program at {reason}"
    hint = "Unmount it, and switch off what mounts cards by itself on this computer (desktop, autofs)."


class CardHeldElsewhere(CardNotOpened):
    message = "the card in {device} is in use by another program"
    hint = "Look at who has it with: dockd mounts. Close that program and plug the recorder in again."


class FileSystemNotRead(CardNotOpened):
    message = "the card in {device} holds a file system that is not read: {reason}"
    hint = "Read are FAT, exFAT, NTFS, UDF, ISO 9660, ext4 and XFS. An unformatted or encrypted card holds none."


class CardUnmountable(CardNotOpened):
    exit_code = Exit.PARTIAL
    message = "the file system of the card in {device} cannot be opened: {reason}"
    hint = "The card may be damaged. Nothing on it was changed or repaired: keep it aside and have it recovered."


class CardStaysWritable(CardNotOpened):
    message = "{device} could not be set read-only, and was not read: {reason}"
    hint = "Without that something on the card might change. Use another reader."


class CallerNotServed(CardNotOpened):
    message = "this user may not ask for cards"
    hint = "Only the service's own user and root may."


class RequestNotUnderstood(CardNotOpened):
    message = "the mount broker does not understand this request"
    hint = "Daemon and broker are of different versions. Restart both: systemctl restart dockd"


class BrokerFailed(CardNotOpened):
    exit_code = Exit.BUG
    message = "the mount broker met a fault of its own: {reason}"
    hint = "Look at: journalctl -t dockd-mount. The card was not touched or is still read-only."


class BrokerSilent(CardNotOpened):
    message = "the mount broker does not answer: {reason}"
    hint = "Look at: systemctl status dockd-mount.socket"


class RegisterClosedToWriting(Refused):
    message = "this command only reads, and may not change the register"
    hint = "Please report it: a command that everybody may use tried to write. Nothing was changed."


# --- configuration (7) ---------------------------------------------------------------------------


class UnlockFailed(Refused):
    message = "the recorder could not be unlocked (profile {profile}): {reason}"
    hint = "Look at the command under unlock in the configuration; try it by hand as the service's user."


class ServiceNotRunning(Refused):
    message = "the service of this station is not running"
    hint = "Start it: systemctl start dockd, or in the foreground: dockd run"


class ConfigInvalid(DockdError):
    exit_code = Exit.CONFIG
    message = "{file}, line {line}, {key}: {problem}"
    hint = "Expected: {expected}"


class ControlUnusable(DockdError):
    exit_code = Exit.CONFIG
    message = "the control socket {control} cannot be made: {reason}"
    hint = 'Name a place under service.control where the service\'s user may make one, or "" for none.'


class ConfigMissing(DockdError):
    exit_code = Exit.CONFIG
    message = "there is no configuration at {file}"
    hint = "Make a station with: dockd init DIR, or name a file with -c FILE or $DOCKD_CONFIG."


class ConfigNeedsRestart(DockdError):
    exit_code = Exit.CONFIG
    message = "{file}: {key} has changed, which a running service cannot take over"
    hint = "Start the service anew: systemctl restart dockd. Until then the old configuration is in force, as a whole."


class ConfigUnreadable(DockdError):
    exit_code = Exit.CONFIG
    message = "{file}, line {line}: {problem}"
    hint = "The file must be YAML in UTF-8. Compare it with config/dockd.yaml."


class ProfileInvalid(ConfigInvalid):
    message = "profile {file}, {key}: {problem}"
    hint = "Expected: {expected}. The format is described in the README, 'Profiles'."


class ToolMissing(DockdError):
    exit_code = Exit.CONFIG
    message = "{tool} is not installed"
    hint = "Install it: apt install {package}. Footage is stored without it, but not described."


# --- ours (1) ------------------------------------------------------------------------------------


class Bug(DockdError):
    exit_code = Exit.BUG
    message = "dockd met a fault of its own: {reason}"
    hint = "Nothing that was called stored is affected. Please send the report {report} to the maintainers."


STORE_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_STORE_GONE = frozenset({errno.ENOENT, errno.ENOTCONN, errno.ECONNABORTED, errno.ENODEV, errno.ESTALE})


def store_error(error: OSError, path: str) -> StoreError:
    """The store's trouble as its own type, from the ``OSError`` of a write, fsync or rename."""
    reason = error.strerror or str(error)
    if error.errno in STORE_FULL:
        return StoreFilled(path=path)
    if error.errno == errno.EROFS:
        return StoreReadOnly(path=path)
    if error.errno in _STORE_GONE:
        return StoreMissing(path=path)
    if error.errno in (errno.EACCES, errno.EPERM):
        return StoreNotPrivate(path=path, reason=reason)
    return StoreFailing(path=path, reason=reason)


def register_error(error: OSError, path: str) -> StoreError:
    """The register's trouble as its own type: what to do about it is not what to do about the store's."""
    reason = error.strerror or str(error)
    if error.errno in STORE_FULL:
        return RegisterFull(path=path)
    if error.errno == errno.EROFS:
        return RegisterReadOnly(path=path)
    if error.errno in _STORE_GONE:
        return RegisterUnreachable(url=path, reason=reason)
    if error.errno in (errno.EACCES, errno.EPERM):
        return RegisterNotPrivate(path=path, reason=reason)
    return RegisterFailing(path=path, reason=reason)


REGISTER_TROUBLE = (
    RegisterLocked,
    RegisterUnreachable,
    RegisterFull,
    RegisterReadOnly,
    RegisterFailing,
    RegisterNotPrivate,
    RegisterCorrupt,
)
"""With these nothing can be written down, not even that something could not be written."""
