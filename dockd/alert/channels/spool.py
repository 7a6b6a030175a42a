"""A folder from which another program takes messages: one file each, whole when it appears, its name the message's."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from dockd.alert.channels import Parcel, Undelivered
from dockd.register import disk
from dockd.settings import Channel

COLUMNS = (
    *("message_id", "why", "alert_id", "kind", "severity", "opened_at", "device_no", "cert_nos"),
    *("visit_id", "title", "text", "article"),
)
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n", "'")


def send(channel: Channel, parcel: Parcel, now: datetime) -> None:
    """Writes the parcel's messages. Raises Undelivered where the folder cannot take them."""
    del now
    folder = str(channel.folder)
    try:
        disk.make_folders(folder)
        for row in parcel.rows:
            name = f"{row['station_no']}-{row['message_id']:08d}.{channel.format}"
            _write(f"{folder}/{name}", _csv(row) if channel.format == "csv" else _json(row))
    except OSError as error:
        raise Undelivered(f"spool: {error.strerror or type(error).__name__}") from error


def _write(path: str, data: bytes) -> None:
    temp = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.part")
    with suppress(FileNotFoundError):
        os.unlink(temp)
    disk.write_new(temp, data)
    os.rename(temp, path)
    disk.sync_folder(os.path.dirname(path))


def _json(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, indent=1).encode() + b"\n"


def _csv(row: Mapping[str, Any]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerow([_cell(row.get(name)) for name in COLUMNS])
    return out.getvalue().encode()


def _cell(value: Any) -> str:
    """A cell that no spreadsheet runs as a formula (as in the inventory)."""
    if isinstance(value, list | tuple):
        value = "；".join(map(str, value))
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text
