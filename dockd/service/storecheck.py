"""Whether the store takes data now: asked by who waits for it, with the smallest of real writes."""

from __future__ import annotations

import os

from dockd.errors import StoreError
from dockd.offload.durable import blaming_store, prove_writable
from dockd.register.station import Station, read_marker

_LEAST = 64 << 20  # where a write itself failed, a little room is waited for, not the next byte


def takes_data(station: Station, *, need: int = 0) -> bool:
    """Whether ``need`` bytes fit above the reserve and a small file can be written, fsynced and removed."""
    store = str(station.store)
    try:
        read_marker(station.store, station.station_no)
        with blaming_store(store):
            fs = os.statvfs(store)
            reserve = station.settings.store.reserve.of(fs.f_blocks * fs.f_frsize)
            if fs.f_bavail * fs.f_frsize - (need or min(_LEAST, fs.f_blocks * fs.f_frsize // 20)) < reserve:
                return False
            prove_writable(store)
    except StoreError:
        return False
    return True
