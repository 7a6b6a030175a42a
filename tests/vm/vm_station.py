"""A station in the guest: twelve bays, a recorder for each, and what the service says of them."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vm_cards import Card
from vm_machine import SOCKETS, Machine

BAYS = {f"A{number}": socket for number, socket in enumerate(SOCKETS, 1)}
"""The bays of the dock, with the socket of each as QEMU names it."""
CONFIG, REGISTER, STORE = "/etc/dockd/dockd.yaml", "/var/lib/dockd/register.db", "/var/lib/dockd/store"

# Runs on the guest's own Python, which starts in a fraction of what dockd's takes there.
_WATCH = r"""
import hashlib, json, re, socket, sqlite3, sys, time
def said():
    name = "\0dockd-status-" + hashlib.sha256(b"%(config)s").hexdigest()[:24]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(name)
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
    return json.loads(b"".join(parts))
def rows(query):
    place = re.search(r"url: sqlite:///(\S+)", open("%(config)s").read())[1]
    register = sqlite3.connect(f"file:{place}?mode=ro", uri=True, timeout=20)
    register.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in register.execute(query)]
    finally:
        register.close()
def visits():
    return rows("SELECT v.*, r.device_no FROM visit v LEFT JOIN recorder r ON r.id = v.recorder_id ORDER BY v.id")
def alerts():
    return rows("SELECT * FROM alert ORDER BY id")
def bay(name):
    return next(row for row in said()["visits"]["bays"] if row["bay"] == name)
until, last, what = time.monotonic() + float(sys.argv[2]), None, ""
while True:
    try:
        last = eval(sys.argv[1])
        if last:
            break
    except (OSError, LookupError, StopIteration, sqlite3.Error) as error:
        last = repr(error)
    if time.monotonic() > until:
        what = "too late"
        break
    # Asking is work, too, and an emulated machine has little to give.
    time.sleep(0.4)
print(json.dumps({"value": last, "at": time.time(), "trouble": what}))
"""


@dataclass(frozen=True)
class Seen:
    """What was waited for, and when it was there (the guest's clock)."""

    value: Any
    at: float


def recorder_of(bay: str) -> tuple[str, str]:
    """The number and the USB serial number of the recorder that belongs into a bay."""
    number = int(bay.removeprefix("A"))
    return f"YS{number:05d}", f"SN{number:06d}"


def prepare(machine: Machine) -> None:
    """The configuration has its bays, the register its recorders, and the service runs with both."""
    bays = ", ".join(f'{bay}: {{ports: ["1-{socket}"]}}' for bay, socket in BAYS.items())
    machine.run(f"sed -i 's|^bays: .*|bays: {{{bays}}}|' {CONFIG}")
    lines = ["device_no,device_serial", *(",".join(recorder_of(bay)) for bay in BAYS)]
    machine.run("cat > /root/recorders.csv", stdin="\n".join(lines).encode())
    machine.run("systemctl reload-or-restart dockd.service && systemctl is-active dockd.service")
    machine.run("dockd recorder import /root/recorders.csv")
    machine.run(f"until dockd status --json | grep -q {list(BAYS)[-1]}; do sleep 1; done")


def wait_for(machine: Machine, expression: str, patience_s: float = 120) -> Seen:
    """What ``expression`` (of ``visits()``, ``alerts()``, ``bay(NAME)``, ``said()``) is once it is true."""
    script = _WATCH % {"config": CONFIG}
    command = f"python3 - {shlex.quote(expression)} {patience_s}"
    found = json.loads(machine.run(command, patience_s=patience_s + 30, stdin=script.encode()))
    if found["trouble"]:
        said = journal(machine) + machine.run("dockd status; dockd alert list", check=False)
        raise TimeoutError(f"not within {patience_s:.0f} s: {expression}; last: {found['value']}\n{said}")
    return Seen(found["value"], found["at"])


def dock(machine: Machine, bay: str, card: Card, *, serial: str | None = None, **how: Any) -> tuple[str, float]:
    """The recorder of a bay is put into it. Returns the plug and the moment."""
    began = time.time()
    return machine.plug(BAYS[bay], card.image, serial=serial or recorder_of(bay)[1], **how), began


def safe_visit(
    machine: Machine, bay: str, patience_s: float = 120, *, ended: bool = False
) -> tuple[dict[str, Any], float]:
    """The newest visit of a bay once its card may be removed (``ended``: and is described), and when it became safe.

    To describe a recording takes many seconds in an emulated machine.
    """
    newest = f"[v for v in visits() if v['bay'] == '{bay}'][-1]"
    described = f" and {newest}['ended_at']" if ended else ""
    wait_for(machine, f"{newest}['safe_at']{described}", patience_s)
    shown = visit(machine, wait_for(machine, f"{newest}['id']").value)
    return shown, datetime.fromisoformat(shown["safe_at"]).timestamp()


def journal(machine: Machine) -> str:
    """What the units have written since the boot."""
    return machine.run("journalctl -b -n 80 --no-pager -o with-unit -u 'dockd*'", check=False)


def visit(machine: Machine, visit_id: int) -> dict[str, Any]:
    """``dockd visit show``."""
    found: dict[str, Any] = machine.json(f"dockd visit show {visit_id} --json")
    return found


def stored(shown: dict[str, Any]) -> dict[str, str]:
    """Path on the card and digest of all that a visit calls stored."""
    return {one["path"]: one["sha256"] for one in shown["files"] if one["outcome"] in ("stored", "already_stored")}
