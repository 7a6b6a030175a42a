"""Two processes that judge again at once, and a change that comes while footage is described: one after the other."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from bureau import BEIJING, STATION_YAML, WANG, Bureau, found_bureau
from postgres import Server
from sqlalchemy import func, select, text
from waiting import until

from dockd.register import custody
from dockd.register.session import Register, open_register
from dockd.register.station import Station
from dockd.register.tables import EventRow, RecordRow, ReviewRow, RevisionRow
from dockd.visit import follow
from dockd.visit.rejudge import rejudge

MORNING = datetime(2026, 11, 23, 6, 0, tzinfo=BEIJING)
JUDGE = """
import sys
from datetime import datetime
from dockd.register.station import open_station
from dockd.settings import load_settings
from dockd.visit.rejudge import rejudge
station = open_station(load_settings(sys.argv[1]), now=lambda: datetime.fromisoformat(sys.argv[2]), actor="dockd")
print("ready", flush=True)
sys.stdin.readline()
rejudge(station)
station.close()
"""


def two_judge(bureau: Bureau) -> None:
    """Two processes begin at the same moment, and both end well."""
    argv = [sys.executable, "-c", JUDGE, str(bureau.config), bureau.clock().isoformat()]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(argv, **pipes) for _ in range(2)]
    for one in both:
        assert one.stdout
        assert one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin
        one.stdin.write("\n")
        one.stdin.flush()
    for one in both:
        one.communicate(timeout=120)
    assert [one.returncode for one in both] == [0, 0]


def enter_custody(station: Station) -> None:
    """Who had the recorder in the morning, without that anything is judged yet."""
    said: dict[str, Any] = {"battery": None, "station_no": "S1", "now": station.now(), "actor": "person:clerk"}
    with station.register.write() as session:
        custody.issue_recorder(session, "YS-07", WANG, at=MORNING, until=None, override=None, **said)
        custody.return_recorder(session, "YS-07", at=MORNING + timedelta(hours=6), **said)


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_two_processes_that_judge_at_once_lose_nothing_and_double_nothing(
    bureau: Bureau, request: pytest.FixtureRequest, database: str
) -> None:
    if database == "postgresql":
        on_postgresql(bureau, request.getfixturevalue("postgres_server"))
    request.getfixturevalue("no_parsers")  # the server's start needs its path
    bureau.clock.move(hours=4)
    for number in range(12):
        bureau.record(8 + number / 10, badge="000000", number=number + 1)
    bureau.offload()
    station = bureau.open()
    enter_custody(station)
    two_judge(bureau)
    with station.register.read() as session:
        owners = session.scalars(select(RecordRow.officers)).all()
        revisions = Counter(session.scalars(select(RevisionRow.record_id).where(RevisionRow.why.startswith("custody"))))
        told = Counter(session.scalars(select(EventRow.kind)))
        assert list(owners) == [[WANG]] * 12
        assert set(revisions.values()) == {1}, "each recording was revised once"
        assert (told["review.asked"], told["review.done"]) == (1, 1)
        assert session.scalar(select(func.count()).select_from(ReviewRow)) == 0
    station.close()
    assert [a["state"] for a in bureau.alerts("unassigned")] == ["closed"]
    assert told["alert.closed"] == len([a for a in bureau.alerts() if a["state"] == "closed"])
    bureau.prove()


def on_postgresql(bureau: Bureau, server: Server) -> str:
    """The same station, founded there; returns its register's URL."""
    shutil.rmtree(bureau.folder)
    url = server.url(server.create())
    found_bureau(bureau.folder, STATION_YAML.replace('"sqlite:///register.db"', f'"{url}"'))
    return url


@pytest.mark.postgresql
@pytest.mark.usefixtures("no_parsers")
def test_a_custody_that_comes_while_footage_is_described_waits_for_it_and_reaches_it(
    bureau: Bureau, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = on_postgresql(bureau, postgres_server)
    station, watch = bureau.open(), open_register(url)

    def enter() -> None:
        enter_custody(station)
        rejudge(station)

    clerk = threading.Thread(target=enter)
    describe = follow.new_record

    def meanwhile(*said: Any, **more: Any) -> Any:
        """The evidence has been read, the record is not there yet."""
        new = describe(*said, **more)
        if not clerk.ident:
            clerk.start()
            until(lambda: somebody_waits(watch))
        return new

    monkeypatch.setattr(follow, "new_record", meanwhile)
    path = bureau.record(8, badge="000000")
    bureau.clock.move(hours=4)
    bureau.attend()
    clerk.join(timeout=60)
    station.close()
    watch.close()
    assert bureau.said_of(path)["officers"] == [WANG]


def somebody_waits(register: Register) -> bool:
    with register.read() as session:
        waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(session.scalar(waiting))
