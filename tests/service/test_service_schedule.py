"""The schedule: jobs are plain functions of a station whose clock the test moves; a tick may be late, twice or lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_JOB_MISSED
from apscheduler.triggers.date import DateTrigger

from dockd.errors import StoreFull
from dockd.register import alerts, outbox
from dockd.register.station import Station
from dockd.register.tables import StationRow
from dockd.service.crew import Crew, Ended
from dockd.service.loop import Loop
from dockd.service.parts import Surroundings
from dockd.service.schedule import SOON_S, Going, Schedule, carry_out, scheduler_of, trigger_of
from dockd.service.ticks import TICKS, Round, Tick
from dockd.settings import Settings, parse_settings
from dockd.visit.worker import Lifeline

done: list[str] = []


def good(_station: Station) -> None:
    done.append("good")


def bad(_station: Station) -> None:
    raise ZeroDivisionError


def waits(_station: Station) -> None:
    raise StoreFull(path="x", need=1, free=0, reserve=0)


def tick(name: str, round_: Round = Round.WATCH) -> Tick:
    return Tick(name, round_, f"{__name__}:{name}")


def open_jobs(station: Station) -> list[str]:
    with station.register.read() as session:
        return [one.about for one in alerts.list_alerts(session, open_only=True, kind="job_failed")]


def settings_of(tmp_path: Path, text: str) -> Settings:
    return parse_settings(text, tmp_path / "dockd.yaml")


@pytest.mark.parametrize("one", TICKS, ids=lambda one: one.name)
def test_every_tick_names_a_function_and_does_well_on_a_fresh_station(one: Tick, station: Station) -> None:
    module, _colon, name = one.act.partition(":")
    assert callable(getattr(import_module(module), name))
    outcome = carry_out(one, with_places(station))
    assert (outcome.name, outcome.error, outcome.frames) == (one.name, "", ())


def with_places(station: Station) -> Station:
    """Backups and exports beside the station, not where an installed one has them."""
    settings = station.settings
    backup = settings.backup.model_copy(update={"folder": settings.file.parent / "backup"})
    return replace(station, settings=replace(settings, backup=backup))


def test_names_of_ticks_are_their_own() -> None:
    assert len({one.name for one in TICKS}) == len(TICKS)


def test_an_act_that_fails_is_alerted_once_and_the_alert_ends_with_its_first_success(station: Station) -> None:
    failing = tick("bad")
    outcome = carry_out(failing, station)
    assert outcome.error == "fault"
    assert any("test_service_schedule.py" in frame for frame in outcome.frames)
    carry_out(failing, station)
    assert open_jobs(station) == ["job:bad"]
    carry_out(replace(failing, act=f"{__name__}:good"), station)
    assert open_jobs(station) == []


def test_another_stations_failing_act_hides_none_of_ours(station: Station) -> None:
    with station.register.write() as session:
        session.add(StationRow(station_no="S9", store_id="9", created_at=station.now(), last_seen_at=station.now()))
        session.flush()
        theirs = {"station_no": "S9", "kind": "job_failed", "about": "job:bad"}
        alerts.open_alert(session, **theirs, facts={"job": "bad", "evidence": "fault"}, at=station.now())
    carry_out(tick("bad"), station)
    assert open_jobs(station) == ["job:bad", "job:bad"]
    carry_out(replace(tick("bad"), act=f"{__name__}:good"), station)
    assert open_jobs(station) == ["job:bad"]


def test_trouble_of_the_store_passes_by_itself_and_is_no_failed_task(station: Station) -> None:
    assert carry_out(tick("waits"), station).error == "store_full"
    assert open_jobs(station) == []


def test_a_round_goes_on_after_an_act_that_failed(settings: Settings, station: Station) -> None:
    done.clear()
    said: list[Any] = []

    class Alive:
        def check(self) -> None:
            pass

    going = Going(settings, (tick("bad"), tick("good")), station.now)
    going(said.append, Alive(), ())  # type: ignore[arg-type]
    assert [(word.name, bool(word.error)) for word in said] == [("bad", True), ("good", False)]
    assert done == ["good"]


def test_rounds_come_in_the_stations_zone_whatever_the_machines(tmp_path: Path) -> None:
    text = "agency: {timezone: America/New_York}\nschedule: {nightly: '02:30', watch: 10m}\n"
    settings = settings_of(tmp_path, text)
    zone = ZoneInfo("America/New_York")
    noon = datetime(2026, 11, 23, 12, 0, tzinfo=zone)
    nightly = trigger_of(Round.NIGHTLY, settings)
    assert nightly.get_next_fire_time(None, noon) == datetime(2026, 11, 24, 2, 30, tzinfo=zone)
    # 02:30 does not exist in the night to summer time, and comes twice in none
    spring = nightly.get_next_fire_time(None, datetime(2026, 3, 7, 12, 0, tzinfo=zone))
    assert spring.astimezone(zone).date() == datetime(2026, 3, 8, tzinfo=zone).date()
    watch = trigger_of(Round.WATCH, settings)
    assert watch.get_next_fire_time(noon, noon) - noon == timedelta(minutes=10)


def test_a_tick_that_is_hours_late_still_comes_and_many_missed_ones_come_as_one(settings: Settings) -> None:
    """apscheduler's own grace is one second, after which it drops a job in silence."""
    scheduler = scheduler_of(settings)
    ran, missed, happened = [], [], threading.Event()
    scheduler.add_listener(lambda event: (ran.append(event.job_id), happened.set()), EVENT_JOB_EXECUTED)
    scheduler.add_listener(lambda event: missed.append(event.job_id), EVENT_JOB_MISSED)
    late = datetime.now(settings.zone) - timedelta(hours=9)
    scheduler.add_job(lambda: None, DateTrigger(late), id="date", next_run_time=late)
    scheduler.add_job(lambda: None, trigger_of(Round.WATCH, settings), id="watch", next_run_time=late)
    scheduler.start()
    try:
        deadline = datetime.now(settings.zone) + timedelta(seconds=20)
        while len(ran) < 2 and datetime.now(settings.zone) < deadline:
            happened.wait(1)
            happened.clear()
    finally:
        scheduler.shutdown()
    assert (sorted(ran), missed) == (["date", "watch"], [])


# --- the part, in a real loop with real workers -----------------------------------------------------------------


class Stand:
    """A loop with its crew and one schedule."""

    def __init__(self, settings: Settings, now: Callable[[], datetime], part: Schedule) -> None:
        self.loop = Loop()
        self.crew = Crew(self.loop)
        self.part = part
        self.crew.start()
        self.around = Surroundings(self.loop, settings, now, self.crew, lambda: None, dict)
        part.start(self.around)

    def until(self, true: Callable[[], Any]) -> None:
        end = self.loop.clock() + 30
        while not true():
            assert self.loop.clock() < end, "it did not come in time"
            self.loop.turn(0.2)

    def close(self) -> None:
        self.part.stop()
        self.crew.let_go()
        self.until(lambda: self.part.ended() and not self.crew.size)
        self.crew.close()
        self.loop.close()


class Frozen:
    """A clock that crosses into a worker."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def stand(station: Station, tmp_path: Path) -> Iterator[Stand]:
    ticks = [Tick("mirror", Round.WATCH, "dockd.service.ticks:mirror"), Tick("bad", Round.NIGHTLY, f"{__name__}:bad")]
    station.close()  # a child of a process that has the register open could not use it
    soon = {**SOON_S, Round.WATCH: 0.0, Round.NIGHTLY: 0.0}
    one = Stand(station.settings, Frozen(station.now()), Schedule(ticks, soon=soon))
    yield one
    one.close()


def test_after_a_start_every_round_is_done_soon_and_shown_with_its_outcome(stand: Stand, station: Station) -> None:
    stand.until(lambda: len(stand.part.show()) == 2)
    assert stand.part.show()["mirror"]["error"] is None
    assert stand.part.show()["bad"]["error"] == "fault"
    assert open_jobs(station) == ["job:bad"]
    assert stand.part.alive()


def test_a_round_that_is_still_under_way_is_not_begun_a_second_time(stand: Stand) -> None:
    stand.part._go(Round.WATCH)
    before = stand.crew.size
    stand.part._go(Round.WATCH)
    assert stand.crew.size == before
    stand.until(lambda: stand.part.ended())


# --- messages: a station in which nothing happens sends nobody to look ----------------------------------------------


def written(station: Station) -> None:
    """An act, or somebody's command, that leaves a message."""
    with station.register.write() as session:
        outbox.announce(session, station_no=station.station_no, why=outbox.TEST, at=station.now(), body={"channel": ""})


def sent(station: Station) -> None:
    with station.register.write() as session:
        for message in outbox.unrouted(session, station.station_no):
            outbox.route(session, message.message_id, {})


@dataclass(frozen=True)
class Idle:
    """A work of another part that has not ended."""

    def __call__(self, send: Callable[[object], None], lifeline: Lifeline, fds: tuple[int, ...]) -> None:
        while True:
            lifeline.check()
            time.sleep(0.01)


@pytest.fixture
def post(station: Station) -> Iterator[Stand]:
    """DELIVER sends what is there, WATCH does nothing; the first DELIVER has been."""
    ticks = [Tick("sent", Round.DELIVER, f"{__name__}:sent"), Tick("good", Round.WATCH, f"{__name__}:good")]
    station.close()
    soon = {**SOON_S, Round.DELIVER: 0.0, Round.WATCH: 3600.0}
    one = Stand(station.settings, Frozen(station.now()), Schedule(ticks, soon=soon))
    one.until(lambda: "sent" in one.part.show() and one.part.ended())
    yield one
    one.close()


def goes(post: Stand, one: Round = Round.DELIVER) -> bool:
    """Whether a worker is sent when the round is due; it has ended then."""
    before = post.crew.begun
    post.part._go(one)
    post.until(post.part.ended)
    return post.crew.begun > before


def test_nobody_looks_for_messages_while_nobody_has_worked_and_none_waits(post: Stand) -> None:
    assert not goes(post)
    assert not goes(post)
    assert goes(post, Round.WATCH)
    assert not goes(post), "the round before has looked, and found none"


def test_after_any_work_messages_are_looked_for(post: Stand) -> None:
    ended: list[Ended] = []
    post.crew.hire(Going(post.around.settings, (), post.around.now), on_end=ended.append)
    post.until(lambda: ended)
    assert goes(post)
    assert not goes(post)


def test_while_another_work_is_under_way_each_round_looks_for_messages(post: Stand) -> None:
    ended: list[Ended] = []
    hand = post.crew.hire(Idle(), on_end=ended.append)
    assert goes(post)
    assert goes(post), "what the other has written since is not known"
    hand.let_go()
    post.until(lambda: ended)
    assert goes(post)
    assert not goes(post)


def test_a_message_that_another_program_left_is_found_with_the_next_watch(post: Stand, station: Station) -> None:
    written(station)
    assert not goes(post)
    assert goes(post, Round.WATCH)
    assert goes(post)
    with station.register.read() as session:
        assert not outbox.holds_any(session, station.station_no)
    assert not goes(post)


def test_after_a_round_that_failed_messages_are_looked_for(post: Stand, station: Station) -> None:
    store = station.store
    store.rename(store.with_name("away"))
    assert goes(post, Round.WATCH)
    assert goes(post)
    store.with_name("away").rename(store)
    assert goes(post)
    assert not goes(post)


def test_a_schedule_whose_thread_has_died_shows_no_sign_of_life(stand: Stand) -> None:
    assert stand.part._scheduler
    stand.part._scheduler.shutdown(wait=True)
    assert not stand.part.alive()
    stand.part._scheduler = None


def test_another_rhythm_is_taken_over_while_it_runs(stand: Stand, tmp_path: Path) -> None:
    stand.part.reload(settings_of(tmp_path, "schedule: {watch: 30m}\n"))
    assert stand.part._scheduler
    job = stand.part._scheduler.get_job("watch")
    assert job.trigger.interval == timedelta(minutes=30)
