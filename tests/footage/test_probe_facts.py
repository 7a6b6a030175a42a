from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.footage import facts
from dockd.footage.facts import describe, from_wire, to_wire
from dockd.nouns import MediaFacts

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
names = [f.name for f in MediaFacts.__dataclass_fields__.values()]
dates = st.sampled_from(
    ["0000:00:00 00:00:00", "9999:12:31 23:59:59-14:00", "0001:01:01 00:00:00+14:00", "2024", "2024-02-30T00:00:00Z"]
)


def probed(**form: object) -> dict[str, object]:
    return {"format": form, "streams": []}


def test_a_zero_date_is_kept_as_written_and_means_nothing():
    found = describe(None, {"QuickTime:CreateDate": "0000:00:00 00:00:00"})
    assert (found.created_raw, found.created) == ("0000:00:00 00:00:00", None)


def test_a_quicktime_date_from_exiftool_is_marked_as_the_utc_it_is():
    found = describe(None, {"QuickTime:CreateDate": "2024:01:28 09:54:20"})
    assert found.created_raw == "2024:01:28 09:54:20Z"
    assert found.created == datetime(2024, 1, 28, 9, 54, 20, tzinfo=UTC)


def test_a_wall_clock_in_exif_stays_without_a_zone():
    found = describe(None, {"EXIF:DateTimeOriginal": "2024:01:28 17:54:20"})
    assert (found.created_raw, found.zoned) == ("2024:01:28 17:54:20", None)


def test_exif_with_its_offset_is_a_zoned_date():
    found = describe(None, {"EXIF:DateTimeOriginal": "2024:01:28 17:54:20", "EXIF:OffsetTimeOriginal": "+08:00"})
    assert found.zoned == datetime(2024, 1, 28, 17, 54, 20, tzinfo=timezone(timedelta(hours=8)))


def test_a_phones_own_date_is_found_in_either_parsers_answer():
    label = {"tags": {"com.apple.quicktime.creationdate": "2021-04-10T11:43:59+0100"}}
    moment = datetime(2021, 4, 10, 10, 43, 59, tzinfo=UTC)
    assert describe(probed(**label), None).zoned == moment
    assert describe(None, {"QuickTime:CreationDate": "2021:04:10 11:43:59+01:00"}).zoned == moment


def test_a_camcorders_date_in_the_picture_stream_is_zoned():
    found = describe(None, {"H264:DateTimeOriginal": "2012:01:26 10:18:35+01:00", "H264:Make": "Panasonic"})
    assert found.zoned == datetime(2012, 1, 26, 9, 18, 35, tzinfo=UTC)
    assert found.make == "Panasonic"


def test_gps_time_is_put_together_from_day_and_clock():
    found = describe(None, {"EXIF:GPSDateStamp": "2023:06:07", "EXIF:GPSTimeStamp": "12:45:55.5"})
    assert found.gps_time == datetime(2023, 6, 7, 12, 45, 55, 500_000, tzinfo=UTC)


def test_a_position_without_a_fix_is_no_position():
    assert describe(None, {"Composite:GPSPosition": "0 0"}).gps_position is None
    assert describe(None, {"Composite:GPSPosition": "91 10"}).gps_position is None
    assert describe(None, {"Composite:GPSPosition": "31.2 121.5"}).gps_position == "31.200000 121.500000"


def test_a_cover_picture_is_not_the_film():
    streams = [
        {"codec_type": "video", "codec_name": "png", "disposition": {"attached_pic": 1}},
        {"codec_type": "video", "codec_name": "h264", "width": 1920, "height": 1080},
    ]
    found = describe({"format": {}, "streams": streams}, None)
    assert (found.video_codec, found.width, found.height) == ("h264", 1920, 1080)


def test_a_serial_of_zeros_is_no_serial():
    assert describe(None, {"EXIF:SerialNumber": "000000"}).serial is None
    assert describe(None, {"EXIF:SerialNumber": "0", "MakerNotes:InternalSerialNumber": "AB1"}).serial == "AB1"


@pytest.mark.parametrize("written", ["N/A", "nan", "-1", "inf", "1e300", "", None, True, [], 10**400])
def test_a_duration_that_none_can_have_is_none(written: object):
    assert describe(probed(duration=written), None).duration_s is None


def test_nothing_in_a_string_can_move_a_cursor():
    found = describe(None, {"Make": "\x1b[2JAc\nme\u202e \ud800" + "x" * 1000})
    assert found.make is not None
    assert found.make.startswith("[2JAc me")
    assert len(found.make) <= facts.LONGEST_TEXT
    assert all(unicodedata.category(c)[0] != "C" for c in found.make)


@given(anything, anything)
def test_no_answer_of_a_parser_raises(probe: object, tags: object):
    probe = probe if isinstance(probe, dict) else {"format": probe, "streams": probe}
    tags = tags if isinstance(tags, dict) else {tag.rstrip("#"): tags for tag in facts.TAGS}
    describe(probe, tags)


@given(st.dictionaries(st.sampled_from([t.rstrip("#") for t in facts.TAGS]), dates | anything))
def test_facts_survive_the_way_between_child_and_caller(tags: dict[str, object]):
    found = describe(None, tags, ("truncated",))
    assert from_wire(json.loads(json.dumps(to_wire(found)))) == found


@given(st.dictionaries(st.sampled_from(names), anything | st.lists(st.text())) | anything)
def test_a_child_that_was_taken_over_can_only_give_clean_facts(answer: object):
    found = from_wire(answer)
    assert isinstance(found.problems, tuple)
    for name in ("container", "make", "model", "serial", "created_raw"):
        value = getattr(found, name)
        assert value is None or (len(value) <= facts.LONGEST_TEXT and value.isprintable())
    assert found.width is None or 0 < found.width <= facts.WIDEST
