"""What lies in the store that nobody registered: named, alerted, and left alone.

The whole store is walked, or only what is around some folders: those, the folders above them, and
whatever stands beside them where no visit has its place.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from dockd.offload.examine import Fault, Finding, Kind, Reading, shown, writable
from dockd.offload.layout import FOOTAGE, folder, visit_of
from dockd.register import holdings, renewals
from dockd.register.values import chunks

_WALKED = 400
_DATE = (4, 2, 2)  # digits of YYYY/MM/DD


class Search:
    """The search of one reading; no folder is listed twice where it is ``around`` some."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._listed: dict[str, set[str]] = {}  # the folders in each that was listed
        self._of_day: dict[str, set[str]] = {}

    def everywhere(self) -> None:
        """Names every file of the store that the register does not know."""
        self._name(self._walk(FOOTAGE))

    def around(self, folders: Iterable[str]) -> None:
        """The same for ``folders``, those above them, and folders beside these that are no visit's."""
        self._name(path for place in sorted(set(folders)) for path in self._beside(place))

    def _name(self, paths: Iterator[str]) -> None:
        strange: list[str] = []
        for some in chunks(paths, _WALKED):
            strange += self._unknown(some)
        # Files that were on their way into the register during the walk are there now.
        for some in chunks(strange, _WALKED):
            still = [path for path in self._unknown(some) if os.path.lexists(f"{self._reading.root}/{path}")]
            self._reading.tell([_stranger(path) for path in still])

    def _unknown(self, paths: Sequence[str]) -> list[str]:
        visits = {path: number for path in paths if (number := visit_of(path)) is not None}
        with self._reading.station.register.read() as session:
            known = holdings.known_paths(session, writable(paths), visits.values())
            working = holdings.visits_at_work(session, visits.values())
        return [path for path in paths if path not in known and visits.get(path) not in working]

    # --- walking -----------------------------------------------------------------------------------------

    def _walk(self, root: str) -> Iterator[str]:
        """Everything below ``root`` that is not a directory."""
        folders = [root]
        while folders:
            place = folders.pop()
            inner = []
            for name, is_folder in self._list(place).items():
                if is_folder:
                    inner.append(f"{place}/{name}")
                else:
                    yield f"{place}/{name}"
            folders += reversed(inner)

    def _beside(self, place: str) -> Iterator[str]:
        """What is not a directory in ``place`` and above it, and below folders there that are nobody's."""
        parts = place.split("/")
        for depth in range(1, len(parts) + 1):
            above = "/".join(parts[:depth])
            if above not in self._listed:
                names = self._list(above)
                yield from self._strange_in(above, names, place)
                self._listed[above] = {name for name, is_folder in names.items() if is_folder}
            if depth < len(parts) and parts[depth] not in self._listed[above]:
                return  # a link stands there, or nothing: it is not followed

    def _strange_in(self, above: str, names: Mapping[str, bool], place: str) -> Iterator[str]:
        for name, is_folder in names.items():
            path = f"{above}/{name}"
            if not is_folder:
                yield path
            elif not (f"{place}/".startswith(f"{path}/") or self._is_a_visits(path)):
                yield from self._walk(path)

    def _list(self, place: str) -> dict[str, bool]:
        """The folder's names with whether each is a folder; one that cannot be listed is a fault."""
        about = f"store:{shown(place)}"
        try:
            with os.scandir(f"{self._reading.root}/{place}") as entries:
                found = dict(sorted((e.name, e.is_dir(follow_symlinks=False)) for e in entries))
        except OSError as error:
            finding, reason = self._reading.refused(error)
            if finding is not Finding.MISSING:  # a store without a visit has no such folder yet
                self._reading.tell([Fault(finding, Kind.UNKNOWN, shown(place), about, reason)])
            return {}
        self._reading.keep([(about, None)])
        return found

    # --- whose folder it is --------------------------------------------------------------------------------

    def _is_a_visits(self, path: str) -> bool:
        """Whether the folder is a year, month or day with visits, or a recorder's folder of such a day.

        That one is looked at when the turn of its visit comes.
        """
        parts = path.split("/")[1:]
        span = self._span(parts[:3])
        if span is None or len(parts) > 4:
            return False
        with self._reading.station.register.read() as session:
            if len(parts) < 4:
                return renewals.any_docked_between(session, *span)
            day = path.rpartition("/")[0]
            if day not in self._of_day:
                visits = renewals.docked_between(session, *span)
                zone = self._reading.station.zone
                self._of_day[day] = {folder(at.astimezone(zone).date(), number) for at, number in visits}
        return path in self._of_day[day]

    def _span(self, parts: Sequence[str]) -> tuple[datetime, datetime] | None:
        """The time that ``YYYY``, ``YYYY/MM`` or ``YYYY/MM/DD`` covers in the station's zone."""
        if not all(len(part) == digits and part.isdecimal() for part, digits in zip(parts, _DATE, strict=False)):
            return None
        year, month, day = (int(part) for part in [*parts, "01", "01"][:3])
        try:
            begin = datetime(year, month, day, tzinfo=self._reading.station.zone)
            if len(parts) == 3:
                return begin, begin + timedelta(days=1)
            if len(parts) == 2:
                return begin, begin.replace(year=year + month // 12, month=month % 12 + 1)
            return begin, begin.replace(year=year + 1)
        except ValueError:
            return None


def _stranger(path: str) -> Fault:
    return Fault(Finding.UNREGISTERED, Kind.UNKNOWN, shown(path), f"store:{shown(path)}")
