"""GPS time in a real file measures its recorder's clock: what the card holds beside it is put right, raw times kept."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta
from pathlib import Path

from bureau import BEIJING, LI, WANG, Bureau

MORNING = datetime(2026, 11, 23, 6, 0, tzinfo=BEIJING)
HANDED_OVER = MORNING + timedelta(hours=2, minutes=15)


def photograph(path: Path, gps: datetime) -> None:
    """A picture as a recorder with a receiver takes it: the satellites' time, in UTC, beside its own clock's."""
    picture = ["-f", "lavfi", "-i", "testsrc2=s=64x48", "-frames:v", "1", "-update", "1"]
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *picture, str(path)], check=True)
    stamps = [f"-EXIF:GPSDateStamp={gps:%Y:%m:%d}", f"-EXIF:GPSTimeStamp={gps:%H:%M:%S}"]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *stamps, str(path)], check=True)


def test_a_picture_with_gps_time_puts_right_the_recordings_of_a_slow_clock(
    bureau: Bureau, clip: Path, tmp_path: Path
) -> None:
    bureau.issue(WANG, MORNING, HANDED_OVER)
    bureau.issue(LI, HANDED_OVER)
    photograph(tmp_path / "picture.jpg", datetime(2026, 11, 23, 0, 30))
    taken = bureau.record(7, tmp_path / "picture.jpg", badge="000000", ext="jpg", number=1)  # in truth at 8:30
    film = bureau.record(7 + 1 / 6, clip, badge="000000", number=2)  # in truth at 8:40: Li had it by then

    bureau.offload()

    (reading,) = bureau.json("recorder", "clock", "YS-07")
    assert (reading["evidence"], reading["offset_s"]) == ("gps", -5400)
    said = bureau.said_of(film)
    assert (said["used_from"], said["raw_from"]) == ("2026-11-23T08:40:00+08:00", "2026-11-23T07:10:00+08:00")
    assert (said["clock_offset_s"], said["time_basis"].rpartition("+")[2]) == (-5400, "clock_gps")
    assert "clock_corrected" in said["time_flags"]
    assert (said["officers"], said["basis"]["officers"]) == ([LI], "custody")
    assert said["deadline_at"] == "2026-11-24T08:40:05+08:00"
    picture = bureau.said_of(taken)
    assert (picture["used_from"], picture["time_basis"].partition("+")[0]) == ("2026-11-23T08:30:00+08:00", "gps")
    assert "disagree_name" in picture["time_flags"], "its own clock said otherwise, and that is shown"
    assert (picture["officers"], bureau.json("record", "history", said["record_id"])[-1]["why"]) == ([LI], "clock:1")
    bureau.prove()
