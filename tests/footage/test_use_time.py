from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dockd.footage.clock import (
    Plausible,
    RecorderClock,
    plausible,
    plausible_mtime,
    recorder_clock,
    time_of_use,
)
from dockd.nouns import ClockRule, ContainerClock, MediaFacts, MediaType, MtimeClock, ParsedName, UseTime

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
START = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
LENGTH = timedelta(minutes=10)
END = START + LENGTH
WALL = datetime(2026, 11, 22, 9, 0)
HOUR = timedelta(hours=1)


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000


def name(wall: datetime | None, text: str | None = None) -> ParsedName:
    return ParsedName(grammar="test", wall=wall, time_text=text)


def container(created: datetime, **more: object) -> MediaFacts:
    raw = created.strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    return MediaFacts(**{"duration_s": 600.0, "created_raw": raw, "created": created, **more})  # type: ignore[arg-type]


def judge(
    wall: datetime | None = WALL,
    facts: MediaFacts | None = None,
    mtime: datetime | int = END,
    rule: ClockRule | None = None,
    media: MediaType = MediaType.VIDEO,
    zone: ZoneInfo = SHANGHAI,
    **more: object,
) -> UseTime:
    given_mtime = mtime if isinstance(mtime, int) else ns(mtime)
    return time_of_use(
        parsed=name(wall) if wall else None,
        facts=facts if facts is not None else MediaFacts(duration_s=600.0),
        media=media,
        mtime_ns=given_mtime,
        mtime_is_wall=bool(more.pop("mtime_is_wall", False)),
        rule=rule or ClockRule(),
        zone=zone,
        now=NOW,
        **more,  # type: ignore[arg-type]
    )


UTC_RULE = ClockRule(container=ContainerClock.UTC)
NOTHING = MediaFacts()


# --- agreement ---------------------------------------------------------------------------------------------


def test_witnesses_that_agree_are_named_best_first():
    found = judge(facts=container(START))
    assert found == UseTime(START, END, "name+container+mtime")


def test_a_date_with_its_own_zone_is_believed_before_all_others():
    zoned = START.astimezone(timezone(timedelta(hours=-5)))
    found = judge(wall=datetime(2026, 11, 22, 7, 0), facts=container(START, zoned=zoned))
    assert (found.used_from, found.basis) == (START, "zoned+container+mtime")
    assert found.flags == ("disagree_name",)
    assert found.other_ends == (END - 2 * HOUR,)


def test_gps_time_is_believed_before_the_name():
    found = judge(wall=datetime(2026, 11, 22, 7, 0), facts=MediaFacts(duration_s=600.0, gps_time=START))
    assert (found.used_from, found.basis) == (START, "gps+mtime")


def test_five_minutes_still_agree_and_a_second_more_does_not():
    late = START + timedelta(minutes=5)
    assert judge(facts=container(late), mtime=0).basis == "name+container"
    found = judge(facts=container(late + timedelta(seconds=1)), mtime=0)
    assert (found.basis, found.flags) == ("name", ("mtime_unset", "disagree_container"))
    assert found.other_ends == (late + timedelta(seconds=1) + LENGTH,)


def test_the_mtime_marks_the_end_unless_the_profile_says_otherwise():
    assert judge(mtime=END).flags == ()
    assert judge(mtime=START + HOUR).flags == ("disagree_mtime",)
    at_start = ClockRule(mtime=MtimeClock.START)
    assert judge(mtime=START, rule=at_start, facts=MediaFacts(duration_s=3600.0)).basis == "name+mtime"


def test_without_any_other_witness_the_mtime_alone_tells():
    assert judge(wall=None) == UseTime(START, END, "mtime")


def test_an_unreliable_mtime_is_not_believed_alone():
    found = judge(wall=None, rule=ClockRule(mtime=MtimeClock.UNRELIABLE))
    assert found == UseTime(None, None, "", ("mtime_unreliable", "start_unknown", "end_unknown"), (END,))


# --- the container's clock -------------------------------------------------------------------------------------


def test_a_container_that_is_off_by_the_zone_is_local_and_agrees():
    local = START + 8 * HOUR
    for rule in (ClockRule(), UTC_RULE):
        found = judge(facts=container(local), rule=rule)
        assert found == UseTime(START, END, "name+container+mtime", ("container_is_local",))


def test_a_container_declared_local_that_is_utc_agrees_too():
    found = judge(facts=container(START), rule=ClockRule(container=ContainerClock.LOCAL_AS_UTC))
    assert (found.basis, found.flags) == ("name+container+mtime", ("container_is_utc",))


def test_a_container_whose_date_is_the_end_is_reckoned_back():
    found = judge(wall=None, facts=container(END), mtime=0, rule=ClockRule(container=ContainerClock.END_UTC))
    assert found == UseTime(START, END, "container", ("mtime_unset",))


def test_an_unreliable_container_is_not_believed_alone():
    found = judge(wall=None, facts=container(START), mtime=0)
    assert (found.used_from, found.used_to, found.basis) == (None, None, "")
    assert found.flags == ("mtime_unset", "container_unreliable", "start_unknown", "end_unknown")
    assert found.other_ends == (END,)


def test_an_unreliable_container_is_believed_with_an_mtime_whose_zone_is_known():
    found = judge(wall=None, facts=container(START), mtime=END + 8 * HOUR, mtime_is_wall=True)
    assert found == UseTime(START, END, "container+mtime")


def test_an_unreliable_container_and_an_mtime_of_unknown_zone_leave_the_zone_unproven():
    found = judge(wall=None, facts=container(START))
    assert found == UseTime(START, END, "container+mtime", ("zone_unproven",), (END - 8 * HOUR,))


def test_in_a_zone_without_an_offset_there_is_nothing_to_prove():
    assert judge(wall=None, facts=container(START), zone=ZoneInfo("UTC")) == UseTime(START, END, "container+mtime")


def test_an_unreliable_container_that_agrees_with_nobody_is_flagged_and_its_end_kept():
    found = judge(facts=container(START - timedelta(days=3)))
    assert (found.basis, found.flags) == ("name+mtime", ("disagree_container",))
    assert found.other_ends == (END - timedelta(days=3),)


def test_a_photos_date_is_its_wall_clock_whatever_the_rule():
    facts = MediaFacts(created_raw="2026:11:22 09:00:00", created=datetime(2026, 11, 22, 9, tzinfo=UTC))
    found = judge(facts=facts, media=MediaType.PHOTO, rule=UTC_RULE, mtime=START)
    assert found == UseTime(START, START, "name+container+mtime")


def test_a_date_written_without_a_zone_is_a_wall_clock():
    facts = MediaFacts(
        duration_s=600.0, created_raw="2026-11-22 09:00:00", created=datetime(2026, 11, 22, 9, tzinfo=UTC)
    )
    assert judge(wall=None, facts=facts, rule=UTC_RULE) == UseTime(START, END, "container+mtime")


def test_the_zoned_date_does_not_witness_against_itself():
    taken = datetime(2026, 11, 22, 11, tzinfo=timezone(timedelta(hours=10)))
    facts = MediaFacts(created_raw="2026:11:22 11:00:00", created=datetime(2026, 11, 22, 11, tzinfo=UTC), zoned=taken)
    assert judge(wall=None, facts=facts, media=MediaType.PHOTO, mtime=START) == UseTime(START, START, "zoned+mtime")


# --- the mtime's clock -----------------------------------------------------------------------------------------


def test_an_mtime_that_is_off_by_the_zone_shows_the_wall_clock_and_agrees():
    found = judge(mtime=END + 8 * HOUR)
    assert found == UseTime(START, END, "name+mtime", ("mtime_is_wall",))


def test_an_mtime_declared_a_wall_clock_is_read_so_without_a_flag():
    assert judge(mtime=END + 8 * HOUR, mtime_is_wall=True) == UseTime(START, END, "name+mtime")
    assert judge(mtime=END, mtime_is_wall=True).flags == ("mtime_is_instant",)


def test_a_fresh_wall_clock_mtime_is_not_taken_for_the_future_where_it_agrees():
    wall = datetime(2026, 11, 23, 9, 45)
    start = datetime(2026, 11, 23, 1, 45, tzinfo=UTC)
    found = judge(wall=wall, mtime=start + LENGTH + 8 * HOUR)
    assert (found.basis, found.flags) == ("name+mtime", ("mtime_is_wall",))


# --- clocks that are not set -----------------------------------------------------------------------------------


@pytest.mark.parametrize("year", [1904, 1970, 1980, 2000])
@pytest.mark.parametrize("shift", [-14, 0, 8, 14])
def test_a_reset_day_is_unset_in_every_zone(year: int, shift: int):
    day = datetime(year, 1, 1, tzinfo=UTC) + shift * HOUR
    assert plausible(day, NOW) is Plausible.UNSET
    assert plausible(day + timedelta(hours=23, minutes=59), NOW) is Plausible.UNSET


def test_what_is_too_old_is_wrong_and_what_is_to_come_is_the_future():
    assert plausible(datetime(2004, 12, 31, 23, 59, tzinfo=UTC), NOW) is Plausible.WRONG
    assert plausible(datetime(2005, 1, 1, tzinfo=UTC), NOW) is Plausible.OK
    assert plausible(NOW + timedelta(minutes=5), NOW) is Plausible.OK
    assert plausible(NOW + timedelta(minutes=5, seconds=1), NOW) is Plausible.FUTURE


def test_a_name_of_1970_gives_way_to_the_mtime():
    found = judge(wall=datetime(1970, 1, 1, 8, 0, 3))
    assert found == UseTime(START, END, "mtime", ("name_unset",))


def test_every_clock_unset_leaves_the_time_empty():
    found = judge(wall=datetime(2000, 1, 1, 0, 1), facts=container(datetime(2000, 1, 1, tzinfo=UTC)), mtime=0)
    assert found == UseTime(
        None, None, "", ("name_unset", "container_unset", "mtime_unset", "start_unknown", "end_unknown")
    )


def test_a_recorder_that_runs_ahead_is_not_believed():
    found = judge(wall=datetime(2027, 11, 22, 9, 0), mtime=datetime(2027, 11, 22, 1, 10, tzinfo=UTC))
    assert found.used_to is None
    assert found.flags[:2] == ("name_future", "mtime_future")


def test_a_recording_that_would_end_in_the_future_has_a_wrong_clock():
    found = judge(wall=datetime(2026, 11, 23, 9, 55), facts=MediaFacts(duration_s=3600.0), mtime=0)
    assert (found.used_from, found.flags[0]) == (None, "name_future")


def test_a_container_of_zeros_is_unset_and_of_garbage_wrong():
    assert "container_unset" in judge(facts=MediaFacts(created_raw="0000:00:00 00:00:00")).flags
    assert "container_wrong" in judge(facts=MediaFacts(created_raw="yesterday")).flags


def test_a_time_in_a_name_that_is_no_time_is_flagged():
    def flags(text: str) -> tuple[str, ...]:
        return time_of_use(
            parsed=name(None, text),
            facts=NOTHING,
            media=MediaType.VIDEO,
            mtime_ns=ns(END),
            mtime_is_wall=False,
            rule=ClockRule(),
            zone=SHANGHAI,
            now=NOW,
        ).flags

    assert "name_wrong" in flags("20261341996199")
    assert "name_unset" in flags("00000000000000")


# --- no duration -----------------------------------------------------------------------------------------------


def test_without_a_duration_the_mtime_gives_the_end():
    found = judge(facts=NOTHING)
    assert found == UseTime(START, END, "name", ("end_estimated",))


def test_an_mtime_before_the_start_does_not_end_it():
    found = judge(facts=NOTHING, mtime=START - HOUR)
    assert found == UseTime(START, None, "name", ("end_unknown", "disagree_mtime"), (START - HOUR,))


def test_an_mtime_twelve_hours_later_does_not_end_it():
    latest, wall = START + 12 * HOUR, WALL - 8 * HOUR
    assert judge(wall, NOTHING, mtime=latest, zone=ZoneInfo("UTC")).used_to == latest
    found = judge(wall, NOTHING, mtime=latest + timedelta(seconds=1), zone=ZoneInfo("UTC"))
    assert (found.used_to, found.flags) == (None, ("end_unknown", "disagree_mtime"))


def test_a_fat_mtime_two_seconds_early_ends_where_it_began():
    assert judge(facts=NOTHING, mtime=START - timedelta(seconds=2)).used_to == START


def test_the_nearer_of_two_possible_ends_is_taken_and_the_other_kept():
    found = judge(facts=NOTHING, mtime=END + 8 * HOUR)
    assert found == UseTime(START, END, "name", ("end_estimated", "mtime_is_wall"), (END + 8 * HOUR,))


def test_with_neither_duration_nor_mtime_the_end_is_unknown():
    assert judge(facts=NOTHING, mtime=0) == UseTime(START, None, "name", ("mtime_unset", "end_unknown"))


def test_the_end_can_be_known_where_the_start_is_not():
    found = judge(wall=None, facts=NOTHING)
    assert found == UseTime(None, END, "mtime", ("start_unknown", "end_estimated"))


def test_a_containers_end_serves_where_the_length_is_unknown():
    facts = container(END, duration_s=None)
    found = judge(facts=facts, rule=ClockRule(container=ContainerClock.END_UTC))
    assert found == UseTime(START, END, "name", ("end_estimated",))


def test_a_photo_ends_where_it_begins():
    found = judge(media=MediaType.PHOTO, facts=NOTHING, mtime=START)
    assert found == UseTime(START, START, "name+mtime")


# --- summer time -----------------------------------------------------------------------------------------------

FIRST = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
SECOND = FIRST + HOUR
TWICE = datetime(2026, 10, 25, 2, 30)
NEVER = datetime(2026, 3, 29, 2, 30)


def test_an_hour_that_comes_twice_is_decided_by_another_witness():
    for start in (FIRST, SECOND):
        found = judge(TWICE, container(start), mtime=start + LENGTH, rule=UTC_RULE, zone=BERLIN)
        assert found == UseTime(start, start + LENGTH, "name+container+mtime")


def test_an_hour_that_comes_twice_and_nobody_decides_is_flagged_with_both_ends():
    found = judge(TWICE, MediaFacts(duration_s=600.0), mtime=0, zone=BERLIN)
    assert found == UseTime(FIRST, FIRST + LENGTH, "name", ("mtime_unset", "ambiguous_hour"), (SECOND + LENGTH,))


def test_an_hour_that_never_was_is_flagged_unless_decided():
    start = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert judge(NEVER, mtime=0, zone=BERLIN).flags == ("mtime_unset", "ambiguous_hour")
    assert judge(NEVER, mtime=start + LENGTH, zone=BERLIN) == UseTime(start, start + LENGTH, "name+mtime")


# --- mtimes of a card ------------------------------------------------------------------------------------------


def test_an_mtime_identifies_only_if_it_can_be_true():
    assert plausible_mtime(ns(END), NOW)
    for moment in (
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1980, 1, 1, tzinfo=UTC),
        datetime(2000, 1, 1, 3, tzinfo=UTC),
    ):
        assert not plausible_mtime(ns(moment), NOW)
    assert not plausible_mtime(ns(NOW + HOUR), NOW)
    assert not plausible_mtime(2**200, NOW)
    assert not plausible_mtime(-(2**200), NOW)


def test_a_wall_clock_mtime_of_an_hour_ago_is_plausible():
    hour_ago = ns(NOW - HOUR + 8 * HOUR)
    assert not plausible_mtime(hour_ago, NOW)
    assert plausible_mtime(hour_ago, NOW, mtime_is_wall=True)
    assert plausible_mtime(hour_ago, NOW, mtime_is_wall=True, zone=SHANGHAI)
    assert not plausible_mtime(
        hour_ago + ns(datetime(1970, 1, 1, 2, tzinfo=UTC)), NOW, mtime_is_wall=True, zone=SHANGHAI
    )


def test_a_card_tells_of_a_clock_ahead_or_reset():
    reset = ns(datetime(1980, 1, 1, 5, tzinfo=UTC))
    assert recorder_clock([ns(END)], NOW) is RecorderClock.UNVERIFIED
    assert recorder_clock([ns(END), reset], NOW) is RecorderClock.RESET
    assert recorder_clock([reset, ns(NOW + HOUR)], NOW) is RecorderClock.AHEAD
    assert recorder_clock([ns(NOW + 8 * HOUR)], NOW, mtime_is_wall=True, zone=SHANGHAI) is RecorderClock.UNVERIFIED
    assert recorder_clock([], NOW) is RecorderClock.UNVERIFIED


# --- whatever is said --------------------------------------------------------------------------------------------

any_wall = st.datetimes() | st.sampled_from([TWICE, NEVER, WALL, datetime.min, datetime.max])
any_moment = st.datetimes(
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-14))])
)
near = st.integers(-40 * 3600, 40 * 3600).map(lambda s: START + timedelta(seconds=s))
any_facts = st.builds(
    MediaFacts,
    duration_s=st.none() | st.floats(allow_nan=True) | st.floats(0, 7200),
    created_raw=st.none() | st.text(max_size=30) | st.just("2026-11-22T01:00:00Z"),
    created=st.none() | st.datetimes(timezones=st.just(UTC)) | near,
    zoned=st.none() | any_moment | near,
    gps_time=st.none() | any_moment | near,
)


@given(
    parsed=st.none()
    | st.builds(name, st.none() | any_wall | near.map(lambda m: m.replace(tzinfo=None)), st.none() | st.text()),
    facts=any_facts,
    media=st.sampled_from(MediaType),
    mtime_ns=st.integers() | near.map(ns) | st.integers(-(2**70), 2**70),
    mtime_is_wall=st.booleans(),
    rule=st.builds(ClockRule, st.sampled_from(ContainerClock), st.sampled_from(MtimeClock)),
    zone=st.sampled_from([SHANGHAI, BERLIN, ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Kiritimati")]),
)
@example(name(datetime.max), MediaFacts(duration_s=1e308), MediaType.VIDEO, 0, True, ClockRule(), BERLIN)
def test_whatever_witnesses_say_nothing_implausible_is_used_and_nothing_raises(
    parsed: ParsedName | None,
    facts: MediaFacts,
    media: MediaType,
    mtime_ns: int,
    mtime_is_wall: bool,
    rule: ClockRule,
    zone: ZoneInfo,
):
    found = time_of_use(
        parsed=parsed,
        facts=facts,
        media=media,
        mtime_ns=mtime_ns,
        mtime_is_wall=mtime_is_wall,
        rule=rule,
        zone=zone,
        now=NOW,
    )
    for moment in (found.used_from, found.used_to, *found.other_ends):
        assert moment is None or (moment.tzinfo is UTC and plausible(moment, NOW) is Plausible.OK)
    if found.used_from and found.used_to:
        assert found.used_from <= found.used_to
    believed = [part for part in found.basis.split("+") if part]
    assert bool(believed) == (found.used_from is not None or found.used_to is not None)
    for witness in believed:
        assert f"disagree_{witness}" not in found.flags
    assert len(set(found.flags)) == len(found.flags)
    assert found.used_to is not None or "end_unknown" in found.flags
