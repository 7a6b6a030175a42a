"""What the service costs when nothing is docked."""

from __future__ import annotations

import time
from collections.abc import Callable

from vm_machine import Machine

SPAN_S = 60.0


def spent(guest: Machine) -> tuple[float, int, int]:
    """CPU seconds, bytes of memory and wake-ups (voluntary switches) of all the service's processes."""
    shown = guest.run("systemctl show dockd.service --property=CPUUsageNSec,MemoryCurrent").split()
    values = {name: int(value) for name, _equals, value in (line.partition("=") for line in shown)}
    switches = guest.run(
        "cat $(sed 's|.*|/proc/&/status|' /sys/fs/cgroup/system.slice/dockd.service/cgroup.procs) | "
        "awk '/^voluntary/ {n += $2} END {print n}'"
    )
    return values["CPUUsageNSec"] / 1e9, values["MemoryCurrent"], int(switches)


def test_an_idle_service_hardly_wakes_up(guest: Machine, figure: Callable[[str], None]) -> None:
    guest.run("sleep 20")
    before, _memory, woken_before = spent(guest)
    time.sleep(SPAN_S)
    after, memory, woken = spent(guest)
    per_hour = 3600 / SPAN_S
    figure(
        f"{memory / (1 << 20):.0f} MiB, {(after - before) * per_hour:.1f} CPU s/h (emulated), "
        f"{(woken - woken_before) / SPAN_S:.2f} wake-ups/s"
    )
    # Emulated, about four times what it is outside; a busy wait would be 3600 and more.
    assert (after - before) * per_hour < 1200
