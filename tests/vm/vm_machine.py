"""A guest at work: started cold or resumed, with USB sockets behind hubs into which cards are plugged.

The sockets are those of a dock: three hubs of four sockets each below one controller, so that a socket's port path
(``1-1.2`` …) names a bay. Killing QEMU is a power cut.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import vm_debian
from vm_qmp import Qmp, Refused

T = TypeVar("T")
MEMORY_MIB = 1024
SECOND_MIB = 1024
# A busy machine emulates so slowly that the kernel's own doubts about its timers would end the boot.
KERNEL = (
    "root=/dev/vda ro console=ttyS0 quiet net.ifnames=0 mitigations=off no_timer_check tsc=reliable random.trust_cpu=on"
)
HUBS = 3
SOCKETS = tuple(f"{hub}.{port}" for hub in range(1, HUBS + 1) for port in range(1, 5))
"""As QEMU names them; the guest sees ``1-`` before each."""
BOOT_S, RESUME_S, ACT_S = 600, 120, 180


def accelerator() -> str:
    """KVM only where the kernel itself is the hypervisor: nested ones were seen not to boot a stock kernel."""
    for module in ("kvm_intel", "kvm_amd"):
        if Path("/sys/module", module).is_dir() and os.access("/dev/kvm", os.W_OK):
            return "kvm"
    return "tcg,thread=multi"


class Machine:
    """One guest. ``disk`` is its own overlay, ``second`` what else it has as a disk (an empty one unless told).

    What it writes is gone with ``folder``.
    """

    def __init__(self, folder: Path, image: Path, *, backing: Path, saved: Path | None = None, second: str = ""):
        self.folder = folder
        self._image = image
        self.disk = folder / "disk.qcow2"
        self._empty = folder / "second.raw"
        self._control = folder / "qmp"
        self._port = _free_port()
        if not self.disk.exists():
            kind = "raw" if backing.suffix == ".raw" else "qcow2"
            _run("qemu-img", "create", "-q", "-f", "qcow2", "-b", backing, "-F", kind, self.disk)
        if not second:
            with self._empty.open("wb") as file:
                file.truncate(SECOND_MIB << 20)
            second = f"driver=file,filename={self._empty}"
        self._process = self._start(saved, second)
        self.qmp = self._connect()
        # Each plug, and what takes away what stood behind it.
        self._plugs: dict[str, tuple[str, dict[str, str]]] = {}
        if saved is not None:
            self._resume()

    # --- power -------------------------------------------------------------------------------------------

    def _start(self, saved: Path | None, second: str) -> subprocess.Popen[bytes]:
        hubs = [("-device", f"usb-hub,bus=xhci.0,port={hub},id=hub{hub}") for hub in range(1, HUBS + 1)]
        command = [
            *("qemu-system-x86_64", "-machine", "pc", "-accel", accelerator(), "-cpu", "max", "-smp", "2"),
            *("-m", str(MEMORY_MIB), "-nodefaults", "-display", "none", "-rtc", "base=utc"),
            *("-kernel", self._image / "vmlinuz", "-initrd", self._image / "initrd"),
            *("-append", KERNEL),
            # Gone with the folder: it need never be flushed. What a power cut takes is tried on the second disk.
            *("-drive", f"file={self.disk},if=none,id=root,format=qcow2,cache=unsafe,discard=unmap"),
            *("-device", "virtio-blk-pci,drive=root,addr=0x10"),
            *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self._port}-:22", "-device", "virtio-net-pci,netdev=net"),
            *("-device", "virtio-rng-pci", "-device", "qemu-xhci,id=xhci,p2=8,p3=8"),
            *(part for hub in hubs for part in hub),
            *("-qmp", f"unix:{self._control},server=on,wait=off", "-serial", f"file:{self.folder / 'console'}"),
            *("-blockdev", f"{second},node-name=second", "-device", "virtio-blk-pci,drive=second,addr=0x11"),
            *(("-incoming", "defer") if saved else ()),
        ]
        self._saved = saved
        with (self.folder / "qemu.log").open("wb") as log:
            return subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _connect(self) -> Qmp:
        def connect() -> Qmp | None:
            if self._process.poll() is not None:
                raise RuntimeError((self.folder / "qemu.log").read_text())
            with contextlib.suppress(OSError, Refused):
                return Qmp(self._control)
            return None

        return until(connect, "QEMU answers", 20)

    def _resume(self) -> None:
        self.qmp.ask("migrate-incoming", uri=f"exec:cat {shlex.quote(str(self._saved))}")
        until(lambda: self.qmp.ask("query-status")["status"] in ("running", "paused"), "the guest is loaded", RESUME_S)
        with contextlib.suppress(Refused):
            self.qmp.ask("cont")

    def save(self, to: Path) -> None:
        """The guest as it is, in a file; it ends. What it has on its disk must be kept with it."""
        self.qmp.ask("stop")
        self.qmp.ask("migrate", uri=f"exec:cat > {shlex.quote(str(to))}")
        until(lambda: self.qmp.ask("query-migrate").get("status") == "completed", "the guest is saved", RESUME_S)
        self.qmp.ask("quit")
        self._process.wait(timeout=20)
        self.qmp.close()

    def cut_power(self) -> None:
        """At once, whatever it is doing."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.qmp.close()

    # --- commands ----------------------------------------------------------------------------------------

    def run(self, command: str, *, check: bool = True, patience_s: float = ACT_S, stdin: bytes | None = None) -> str:
        """What a shell command in the guest prints. Raises CalledProcessError with what it said."""
        ran = subprocess.run(
            [*self._ssh(), command],
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=patience_s,
        )
        if check and ran.returncode:
            said = (ran.stdout + ran.stderr).decode("utf-8", "replace")
            raise RuntimeError(f"{command}: ended {ran.returncode}: {said[-3000:]}")
        return ran.stdout.decode("utf-8", "replace")

    def hand_over(self, file: Path, to: str) -> None:
        """A large file is there: by the empty disk, as an emulated machine deciphers slowly."""
        with self._empty.open("r+b") as disk:
            disk.write(file.read_bytes())
        self.run(f"head -c {file.stat().st_size} /dev/vdb > {to}")

    def json(self, command: str) -> Any:
        return json.loads(self.run(command))

    def await_ssh(self, patience_s: float = BOOT_S) -> None:
        def there() -> bool:
            with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
                return self.run("echo up", patience_s=15) == "up\n"
            return False

        until(there, "the guest can be logged into", patience_s, pause_s=0.5)

    def set_clock(self, when: float | None = None) -> None:
        """The guest's clock: ours, unless told otherwise. A resumed guest still has the time at which it was saved."""
        self.run(f"date -s @{time.time() if when is None else when:.3f} >/dev/null")

    def _ssh(self) -> list[str]:
        options = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "ConnectTimeout": "10",
            "ControlMaster": "auto",
            "ControlPath": str(self.folder / "ssh"),
            "ControlPersist": "60",
        }
        flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        return ["ssh", "-i", str(vm_debian.key()), "-p", str(self._port), *flags, "root@127.0.0.1"]

    # --- plugs -------------------------------------------------------------------------------------------

    def plug(
        self, socket: str, card: Path, *, serial: str, throttle: str | None = None, bad_sector: int | None = None
    ) -> str:
        """The card is in the socket ``socket`` (``1.2``). Returns the plug's name, for ``pull``."""
        name = f"card{len(self._plugs)}"
        self._plugs[name] = ("blockdev-del", {"node_name": name})
        node: dict[str, Any] = {"driver": "file", "filename": str(card), "locking": "off"}
        if bad_sector is not None:
            fault = {"event": "none", "iotype": "read", "errno": 5, "sector": bad_sector, "once": False}
            node = {"driver": "blkdebug", "image": node, "inject-error": [fault]}
        if throttle is not None:
            node = {"driver": "throttle", "throttle-group": throttle, "file": node}
        self.qmp.ask("blockdev-add", node_name=name, driver="raw", file=node)
        self.qmp.ask(
            "device_add",
            driver="usb-storage",
            id=f"usb-{name}",
            drive=name,
            bus="xhci.0",
            port=socket,
            serial=serial,
            removable=True,
        )
        return name

    def plug_locked(self, socket: str) -> str:
        """Something that is no disk is in the socket, as a recorder before it is unlocked: 0403:6001 of "QEMU"."""
        name = f"locked{len(self._plugs)}"
        self._plugs[name] = ("chardev-remove", {"id": name})
        self.qmp.ask("chardev-add", id=name, backend={"type": "null", "data": {}})
        how = {"chardev": name, "bus": "xhci.0", "port": socket, "always-plugged": True}
        self.qmp.ask("device_add", driver="usb-serial", id=f"usb-{name}", **how)
        return name

    def slow_down(self, name: str, bytes_per_s: int) -> None:
        """Cards that are plugged with ``throttle=name`` give so many bytes a second."""
        limits = {"bps-total": bytes_per_s}
        self.qmp.ask("object-add", **{"qom-type": "throttle-group", "id": name, "limits": limits})

    def pull(self, name: str) -> None:
        """The card, or whatever ``name`` is, is out, whatever is reading it."""
        self.qmp.ask("device_del", id=f"usb-{name}")

        command, what = self._plugs[name]

        def gone() -> bool:
            with contextlib.suppress(Refused):
                self.qmp.ask(command, **what)
                return True
            return False

        until(gone, f"{name} is out", 20)

    def close(self) -> None:
        subprocess.run([*self._ssh(), "-O", "exit"], check=False, capture_output=True)
        if self._process.poll() is None:
            self.cut_power()


def until(ask: Callable[[], T | None], what: str, patience_s: float, *, pause_s: float = 0.1) -> T:
    """The first answer that is one. Raises TimeoutError that says what was waited for."""
    deadline = time.monotonic() + patience_s
    while True:
        if answer := ask():
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {patience_s:.0f} s: {what}")
        time.sleep(pause_s)


# --- ready guests --------------------------------------------------------------------------------------------


Prepare = Callable[[Machine], None]


@contextlib.contextmanager
def resumed(saved: Path, second: str = "") -> Iterator[Machine]:
    """A saved guest, from the moment at which it was saved, with the right time. What it does is forgotten."""
    with tempfile.TemporaryDirectory(prefix="dockd-vm-") as name:
        machine = Machine(Path(name), saved, backing=saved / "disk.qcow2", saved=saved / "state", second=second)
        try:
            machine.await_ssh(RESUME_S)
            machine.set_clock()
            yield machine
        finally:
            machine.close()


@contextlib.contextmanager
def cold(image: Path) -> Iterator[Machine]:
    """A guest that is switched on."""
    with tempfile.TemporaryDirectory(prefix="dockd-vm-") as name:
        machine = Machine(Path(name), image, backing=image / "disk.raw")
        try:
            machine.await_ssh()
            yield machine
        finally:
            machine.close()


def saved_guest(image: Path, prepare: Prepare) -> Path:
    """The guest of ``image`` booted once, made ready by ``prepare`` and saved."""
    recipe = "".join((repr(SOCKETS), *map(inspect.getsource, (Machine._start, prepare))))
    version = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    saved = vm_debian.cache() / f"saved-{image.name.removeprefix('disk-')}-{version}"
    if saved.exists():
        return saved
    part = saved.with_suffix(".part")
    vm_debian.discard(part)
    part.mkdir()
    vm_debian.say("booting the guest once")
    machine = Machine(part, image, backing=image / "disk.raw")
    try:
        machine.await_ssh()
        machine.run("systemctl is-system-running --wait || true", patience_s=BOOT_S)
        prepare(machine)
        machine.run("sync")
        machine.save(part / "state")
    finally:
        machine.close()
    for name in ("vmlinuz", "initrd"):
        shutil.copy(image / name, part)
    part.rename(saved)
    return saved


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True)
