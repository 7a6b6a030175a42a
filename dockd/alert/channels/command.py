"""A command of the station's own for each message: a lamp, a buzzer, a printer. It ends with 0 when it has done it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from datetime import datetime

from dockd.alert.channels import Parcel, Undelivered
from dockd.settings import Channel

PATIENCE_S = 30.0


def send(channel: Channel, parcel: Parcel, now: datetime) -> None:
    """Runs the command with the message as JSON on its standard input. Raises Undelivered unless it ends with 0."""
    del now
    (row,) = parcel.rows
    said = {
        "DOCKD_MESSAGE_ID": str(row["message_id"]),
        "DOCKD_WHY": str(row["why"]),
        "DOCKD_KIND": str(row.get("kind") or ""),
        "DOCKD_SEVERITY": parcel.severity,
        "DOCKD_DEVICE_NO": str(row.get("device_no") or ""),
        "DOCKD_TEXT": parcel.text,
    }
    try:
        child = subprocess.Popen(
            list(channel.command),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | said,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise Undelivered(f"command: {getattr(error, 'strerror', None) or type(error).__name__}") from error
    try:
        child.communicate(json.dumps(row, ensure_ascii=False).encode(), timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        raise Undelivered(f"command: no end within {PATIENCE_S:.0f} s", unsure=True) from None
    if child.returncode != 0:
        raise Undelivered(f"command: ended with {child.returncode}")
