"""A store on a disk that keeps only what was flushed, and a station in the guest that has register and store on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from vm_machine import SECOND_MIB, Machine, until
from vm_station import CONFIG

AT = "/srv/evidence"
ASIDE = "/etc/dockd/aside.yaml"


class StrictDisk:
    """nbdkit holds every write until the guest flushes; killed, it takes with it what was not flushed."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._socket = folder / "nbd"
        command = ["nbdkit", "--foreground", "--unix", self._socket, "--filter=cache", "file", image, "cache=writeback"]
        with (folder / "nbdkit.log").open("wb") as log:
            self._process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)
        until(self._socket.exists, "nbdkit serves", 20)

    @property
    def second(self) -> str:
        """For QEMU: the guest's second disk."""
        return f"driver=nbd,server.type=unix,server.path={self._socket}"

    def cut_power(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def new_disk(image: Path) -> Path:
    """An empty ext4."""
    with image.open("wb") as file:
        file.truncate(SECOND_MIB << 20)
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, env=os.environ | {"PATH": path})
    return image


def switch_on(machine: Machine) -> dict[str, Any]:
    """The station at work with register and store on the second disk, which takes them over when it is empty.

    Returns what ``dockd verify --json`` said of them before the service could mend anything.
    """
    machine.run("systemctl stop dockd.service")
    # The journal's own commit would flush for us: it is put off.
    machine.run(f"mkdir -p {AT} && mount -o commit=900 /dev/vdb {AT} && chown dockd:dockd {AT}")
    machine.run(f"test -e {AT}/register.db || mv /var/lib/dockd/* {AT}/")
    machine.run(f"sed -i 's|/var/lib/dockd/|{AT}/|' {CONFIG}")
    # The same station, used directly.
    machine.run(f"sed 's|^  control: .*|  control: \"\"|' {CONFIG} > {ASIDE}")
    machine.run(f"chgrp dockd {ASIDE} && chmod 0640 {ASIDE}")
    drop_in = "/etc/systemd/system/dockd.service.d"
    machine.run(f"mkdir -p {drop_in} && printf '[Service]\\nReadWritePaths={AT}\\n' > {drop_in}/10-places.conf")
    as_service = "setpriv --reuid=dockd --regid=dockd --init-groups"
    said = machine.run(f"{as_service} dockd -c {ASIDE} verify --json", check=False, patience_s=300)
    claimed: dict[str, Any] = json.loads(said)
    machine.run("systemctl daemon-reload && systemctl start dockd.service", patience_s=300)
    return claimed
