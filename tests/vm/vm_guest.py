"""Makes the guest: a Debian (``vm_debian``) in which dockd is installed by the README's command.

``disk-…`` is made once for each version of the sources; ``saved-…`` beside it is that disk booted, ready for a
plug-in, as QEMU saves it (``vm_machine``).
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from vm_debian import ROOT, alone, base, cache, digest_of, discard, files_below, run, run_in, say, why_not

DISK_GIB = 6
INSTALLED = ("systemd", "udev", "dockd", "pyproject.toml", "README.md", "LICENSE")
"""What of the repository is copied into the guest: what the installer needs."""


def installed() -> Path:
    """A folder with dockd on ``disk.raw``, ``vmlinuz`` and ``initrd``. ``$DOCKD_VM_DISK`` names one made before."""
    if chosen := os.environ.get("DOCKD_VM_DISK"):
        return Path(chosen)
    sources = sorted(p for name in INSTALLED for p in files_below(ROOT / name))
    folder = cache() / f"disk-{digest_of(Path(__file__), *sources)}"
    if not folder.exists():
        origin = base()
        part = folder.with_suffix(".part")
        discard(part)
        part.mkdir()
        _install(origin, part)
        for old in [*cache().glob("disk-*"), *cache().glob("saved-*")]:
            if old != part:
                discard(old)
        part.rename(folder)
    return folder


def _install(origin: Path, folder: Path) -> None:
    """The README's command, in the guest's own tree: quick, and the service starts with the first boot."""
    disk, at = folder / "disk.raw", folder / "at"
    at.mkdir()
    with disk.open("wb") as file:
        file.truncate(DISK_GIB << 30)
    say("a disk for the guest")
    run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,nodiscard", "-d", origin / "root", disk)
    run("mount", "-o", "loop", disk, at)
    try:
        clone = at / "root/dockd"
        for name in INSTALLED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            clone.mkdir(exist_ok=True)
            copy(ROOT / name, clone / name)
        say("sudo ./systemd/install")
        run_in(at, "/root/dockd/systemd/install", "--name", "县局", "--station-no", "YS01", "--language", "en")
    finally:
        run("umount", at)
        at.rmdir()
    for name in ("vmlinuz", "initrd"):
        shutil.copy(origin / name, folder)


if __name__ == "__main__":
    if reason := why_not():
        sys.exit(f"vm: {reason}")
    with alone():
        print(installed())
