"""What a clock brings about by itself: deadlines that come near or pass, and reviews that somebody left unfinished."""

from __future__ import annotations

from dockd.alert.deadlines import keep_deadlines
from dockd.register.reviews import take_turn
from dockd.register.station import Station
from dockd.visit.rejudge import rejudge
from dockd.visit.survey import watch_courses


def watch_deadlines(station: Station) -> int:
    """Warnings before the deadline, who has not docked, open exceptions, filing, gaps; returns how many were opened.

    For a clock (every few minutes), and after commands that may have changed the answer. Everything
    is computed from the register: called twice it opens nothing twice, and what was missed while the
    station was off is found at the first call.
    """
    rejudge(station)
    with station.register.write() as session:
        take_turn(session, station.station_no)
        watch_courses(session, station)
        return keep_deadlines(session, station)
