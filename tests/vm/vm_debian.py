"""A Debian with stock kernel, systemd and udev for the guests, kept below ``$XDG_CACHE_HOME/dockd-vm``.

``$DOCKD_VM_SUITE`` names the Debian: bookworm (12) unless told, or trixie (13). ``base-…`` is made once for each
version of its recipe (some minutes). Needs root: debootstrap does.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import inspect
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUITE = os.environ.get("DOCKD_VM_SUITE", "bookworm")
MIRROR = "http://deb.debian.org/debian"
PACKAGES = (
    *("systemd-sysv", "udev", "dbus", "linux-image-amd64", "openssh-server", "ca-certificates", "kmod", "ifupdown"),
    *("python3", "python3-venv", "ffmpeg", "libimage-exiftool-perl", "e2fsprogs", "procps"),
)


class CannotBuild(Exception):
    """The guest cannot be made here; the text says why."""


def cache() -> Path:
    """Where guests are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "dockd-vm" / SUITE
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def missing_tools() -> list[str]:
    """Debian packages that the suite needs and this machine lacks."""
    wanted = {
        "qemu-system-x86_64": "qemu-system-x86",
        "qemu-img": "qemu-utils",
        "debootstrap": "debootstrap",
        "nbdkit": "nbdkit",
        "mkfs.vfat": "dosfstools",
        "mcopy": "mtools",
        "mkfs.exfat": "exfatprogs",
        "mount.exfat-fuse": "exfat-fuse",
        "sfdisk": "fdisk",
        "ssh": "openssh-client",
        "ffmpeg": "ffmpeg",
    }
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return sorted({package for tool, package in wanted.items() if shutil.which(tool, path=path) is None})


def why_not() -> str:
    """Why no guest can run here, or nothing."""
    if platform.machine() != "x86_64":
        return "the guest is for x86_64"
    if os.geteuid() != 0:
        return "building the guest needs root"
    if lacking := missing_tools():
        return f"not installed: {' '.join(lacking)}"
    return ""


def key() -> Path:
    """The key that opens the guests of this machine, made once."""
    path = cache() / "key"
    if not path.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
    return path


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Only one process builds at a time."""
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def base() -> Path:
    """The folder of the Debian: ``root`` (its files), ``vmlinuz``, ``initrd``."""
    recipe = "".join((SUITE, *PACKAGES, *map(inspect.getsource, (_make_base, _settle))))
    folder = cache() / f"base-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
    if not folder.exists():
        part = folder.with_suffix(".part")
        discard(part)
        part.mkdir()
        _make_base(part)
        for old in cache().glob("base-*"):
            if old != part:
                discard(old)
        part.rename(folder)
    return folder


def _make_base(folder: Path) -> None:
    root = folder / "root"
    say(f"debootstrap {SUITE}")
    run(
        # Nothing of it need survive a power cut.
        *(("eatmydata",) if shutil.which("eatmydata") else ()),
        *("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, root, MIRROR),
        quiet=folder / "debootstrap.log",
    )
    _settle(root)
    for name in ("vmlinuz", "initrd.img"):
        shutil.copy(root / name, folder / name.removesuffix(".img"))


def _settle(root: Path) -> None:
    """What makes a tree of files a machine that one can log into, and that reaches what this machine reaches."""
    files = {
        "etc/fstab": "/dev/vda / ext4 noatime 0 1\n",
        "etc/hostname": "station\n",
        "etc/hosts": "127.0.0.1 localhost station\n",
        "etc/network/interfaces": "auto lo\niface lo inet loopback\nauto eth0\niface eth0 inet static\n"
        "  address 10.0.2.15/24\n  gateway 10.0.2.2\n",
        "etc/resolv.conf": "nameserver 10.0.2.3\n",
        "root/.ssh/authorized_keys": key().with_suffix(".pub").read_text(),
        "etc/ssh/sshd_config.d/vm.conf": "PermitRootLogin prohibit-password\nUseDNS no\n",
        # The clock is the tests' to set, and stays.
        "etc/systemd/journald.conf.d/vm.conf": "[Journal]\nStorage=persistent\nForwardToConsole=no\n",
        # Nothing but what the guest's disk needs: a fraction of the boot on an emulated machine.
        "etc/initramfs-tools/conf.d/vm": "MODULES=list\n",
        "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
        "etc/environment": "".join(f'{name}="{value}"\n' for name, value in borrowed_environment()),
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "root/.ssh").chmod(0o700)
    for name in ("etc/pip.conf", "etc/ssl/certs/ca-certificates.crt"):
        if Path("/", name).exists():
            shutil.copy(Path("/", name), root / name)
    run_in(root, "systemctl", "-q", "disable", "apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_reap.service")
    run_in(root, "passwd", "-q", "-d", "root")
    run_in(root, "update-initramfs", "-u")


def borrowed_environment() -> Iterator[tuple[str, str]]:
    for name, value in os.environ.items():
        if name.lower() in ("http_proxy", "https_proxy", "no_proxy", "pip_index_url", "pip_cert", "ssl_cert_file"):
            yield name, value


# --- small things ------------------------------------------------------------------------------------------


def say(text: str) -> None:
    print(f"vm: {text}", file=sys.stderr, flush=True)


def run(*command: str | Path, quiet: Path | None = None) -> None:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    with open(quiet or os.devnull, "wb") as log:
        ran = subprocess.run(
            [str(part) for part in command], check=False, stdout=log if quiet else None, env=os.environ | {"PATH": path}
        )
    if ran.returncode:
        raise CannotBuild(f"{command[0]} ended with {ran.returncode}" + (f", see {quiet}" if quiet else ""))


def files_below(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts]


def digest_of(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def discard(path: Path) -> None:
    for mounted in (path / "at", path / "root/proc", path / "root/dev"):
        subprocess.run(["umount", "-l", mounted], check=False, stderr=subprocess.DEVNULL)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def run_in(root: Path, *command: str | Path) -> None:
    """A command inside the tree, with what programs expect of a running system."""
    mounts = [("proc", "-t"), ("/dev", "--bind")]
    done: list[Path] = []
    try:
        for source, how in mounts:
            target = root / source.strip("/")
            run("mount", how, *(("proc",) if how == "-t" else ()), source, target)
            done.append(target)
        environment = dict(borrowed_environment()) | {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        }
        subprocess.run(
            ["chroot", root, *command],
            check=True,
            env=environment | dict(borrowed_environment()),
            stdin=subprocess.DEVNULL,
        )
    finally:
        for target in reversed(done):
            run("umount", "-l", target)


if __name__ == "__main__":
    reason = why_not()
    print(f"vm: {reason or 'guests can be run here'}")
    sys.exit(bool(reason))
