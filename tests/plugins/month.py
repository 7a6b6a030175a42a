"""A month of a small bureau, made up from a seed: what really happened, and what people and recorders said of it.

The truth (who recorded what, for which case, when, and whether it was stored in time) is known here
and nowhere else: dockd sees cards, custody, cases and statements, some of them late, missing or wrong.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone

BEIJING = timezone(timedelta(hours=8))
BEGIN = date(2026, 11, 1)
LENGTH = timedelta(seconds=5)  # of every recording: the clip of the tests
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
HOURS_24 = timedelta(hours=24)
AHEAD = timedelta(hours=3, minutes=20)
SURNAMES = "赵钱孙李周吴郑王冯"


@dataclass(frozen=True)
class Person:
    cert_no: str
    badge: str
    name: str
    unit: str


@dataclass(frozen=True)
class Unit:
    """A recorder. ``clock``: right, ``unset`` from ``wrong_from`` on, or ``ahead``. ``short``: no numbers in names."""

    device_no: str
    serial: str
    clock: str = "right"
    wrong_from: date = BEGIN
    short: bool = False
    shared: bool = False


@dataclass
class Work:
    """A period of work on a case, as the case system has it."""

    cert_nos: tuple[str, ...]
    begin: datetime
    end: datetime


@dataclass
class Case:
    """``known_at``: when the case system first has it. ``later_no``: the number that it gets on ``renumbered_at``."""

    number: str
    cause: str
    party: str
    place: str
    known_at: datetime
    works: list[Work] = field(default_factory=list)
    later_no: str | None = None
    renumbered_at: datetime | None = None
    protected: bool = False
    closed_at: datetime | None = None

    @property
    def final_no(self) -> str:
        return self.later_no or self.number


@dataclass
class Recorded:
    """One recording: the truth, and its file. ``wall`` is the recorder's own clock, the end of it its mtime."""

    device: Unit
    path: str
    begin: datetime
    wall: datetime
    officers: tuple[str, ...]
    case: Case | None
    outing: Outing

    @property
    def end(self) -> datetime:
        return self.begin + LENGTH

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def clock_unset(self) -> bool:
        return self.wall.year < 2005

    @property
    def deadline(self) -> datetime | None:
        """Article 23; None while a statement has no time of return."""
        if self.outing.remote and self.end + HOURS_24 < self.outing.docked_at:
            return None if self.outing.open_ended else max(self.outing.returned + HOURS_24, self.end + HOURS_24)
        return self.end + HOURS_24

    @property
    def late(self) -> bool | None:
        return None if self.deadline is None else self.outing.docked_at > self.deadline


@dataclass
class Outing:
    """A recorder with its officers from issue to return, and when it was docked."""

    device: Unit
    officers: tuple[Person, ...]
    issued: datetime
    returned: datetime
    docked_at: datetime
    defect: str = ""  # forgotten, entered_late, borrowed
    borrower: Person | None = None
    remote: bool = False
    open_ended: bool = False
    statement_late: bool = False
    slots: list[tuple[datetime, datetime]] = field(default_factory=list)
    files: list[Recorded] = field(default_factory=list)
    cleared: bool = True

    @property
    def holder(self) -> Person:
        """Whose name stands in the custody register."""
        return self.officers[0]

    @property
    def users(self) -> tuple[Person, ...]:
        """Who really recorded: a borrowed recorder is in the hands of somebody else than its holder."""
        return (self.borrower,) if self.borrower else self.officers


@dataclass(frozen=True)
class Size:
    """How large a bureau, how long a time."""

    recorders: int = 12
    officers: int = 9
    cases: int = 40
    files: int = 600
    days: int = 30
    trips: int = 4
    remote_share: float = 0.2
    odd_first: bool = False  # the recorders with something wrong are taken out first


WHOLE = Size()
SMALL = Size(cases=9, files=44, days=6, trips=2, remote_share=0.5, odd_first=True)


class Month:
    """Everything that happens in a month."""

    def __init__(self, seed: int, size: Size = WHOLE) -> None:
        self.random = random.Random(seed)  # the same month from the same seed
        self.size = size
        self.people = [
            Person(f"130123{n:02}", f"0123{40 + n}", f"{SURNAMES[n]}某{n}", "一大队" if n < 5 else "二大队")
            for n in range(size.officers)
        ]
        self.recorders = self._make_recorders()
        self.sequence = dict.fromkeys((r.device_no for r in self.recorders), 0)
        self.outings = sorted(self._make_outings(), key=lambda o: o.docked_at)
        self.cases = self._make_cases()
        self._record()

    @property
    def files(self) -> list[Recorded]:
        return [file for outing in self.outings for file in outing.files]

    @property
    def ends_at(self) -> datetime:
        changes = [at for case in self.cases for at in (case.known_at, case.renumbered_at, case.closed_at) if at]
        return max(*changes, *(o.docked_at for o in self.outings)) + 2 * DAY

    # --- recorders and outings -----------------------------------------------------------------------------

    def _make_recorders(self) -> list[Unit]:
        """Number 7 loses its clock, 8 runs ahead, 9 writes short names, 10 and 11 have one serial."""
        last = self.size.recorders
        found = [Unit(f"YS-{n:02}", f"21077{n:02}") for n in range(1, last + 1)]
        lost = BEGIN if self.size.odd_first else BEGIN + DAY * 9
        found[6] = Unit("YS-07", "2107707", clock="unset", wrong_from=lost)
        found[7] = Unit("YS-08", "2107708", clock="ahead")
        found[8] = Unit("YS-09", "2107709", short=True)
        found[9] = Unit("YS-10", "2107710", shared=True)
        found[10] = Unit("YS-11", "2107710", shared=True)
        return found

    def _make_outings(self) -> Iterator[Outing]:
        """Every working day some officers take recorders out; neither goes out again before it is back."""
        free_from = {**{r.device_no: BEGIN for r in self.recorders}, **{p.cert_no: BEGIN for p in self.people}}
        trips = self.size.trips
        for day in (BEGIN + DAY * n for n in range(self.size.days - 3)):
            if day.weekday() >= 5:
                continue
            teams = self.random.randint(4, 6)
            for _team in range(teams):
                people = [p for p in self.people if free_from[p.cert_no] <= day]
                recorders = [r for r in self.recorders if free_from[r.device_no] <= day]
                if not people or not recorders:
                    break
                if self.size.odd_first:
                    recorders.sort(key=lambda r: not (r.clock != "right" or r.short or r.shared))
                device = recorders[0] if self.size.odd_first else self.random.choice(recorders)
                some = tuple(self.random.sample(people, min(len(people), self.random.choice([1, 1, 1, 2]))))
                can = trips > 0 and not device.short and device.clock == "right"
                remote = can and self.random.random() < self.size.remote_share
                outing = self._outing(device, some, day, remote, trips)
                trips -= remote
                self._lend(outing, [p for p in people if p not in some])
                free_from |= {p.cert_no: outing.returned.date() + DAY for p in {*some, *outing.users}}
                free_from[device.device_no] = outing.docked_at.date() + DAY
                yield outing

    def _outing(self, device: Unit, people: tuple[Person, ...], day: date, remote: bool, trip: int) -> Outing:
        issued = self._at(day, 8, 0) + MINUTE * self.random.randint(0, 80)
        returned = self._at(day + DAY * 2 if remote else day, 16, 30) + MINUTE * self.random.randint(0, 100)
        outing = Outing(device, people, issued, returned, returned, remote=remote)
        outing.docked_at = returned + MINUTE * self.random.randint(5, 40)
        outing.cleared = self.random.random() < 0.7
        if remote:
            outing.open_ended = trip == 2  # the second last trip: nobody said when they came back
            outing.statement_late = trip == 1
            if trip == 3:
                outing.docked_at = returned + timedelta(hours=30)
        else:
            self._spoil(outing)
        outing.slots = list(self._slots(outing))
        return outing

    def _spoil(self, outing: Outing) -> None:
        """What goes wrong in an office: docked too late, half of it too late, custody forgotten or wrong."""
        chance = self.random.random()
        if chance < 0.07:
            outing.docked_at = outing.returned + timedelta(hours=self.random.randint(26, 50))
        elif chance < 0.13:
            outing.docked_at = self._at(outing.issued.date() + DAY, 13, 7)
        if self.random.random() < 0.16:
            outing.defect = self.random.choice(["forgotten", "entered_late", "borrowed"])

    def _lend(self, outing: Outing, others: Sequence[Person]) -> None:
        """A name without a badge could never show that somebody else had the recorder."""
        if outing.defect != "borrowed":
            return
        if outing.device.short or not others:
            outing.defect = ""
        else:
            outing.borrower = self.random.choice(others)

    def _slots(self, outing: Outing) -> Iterator[tuple[datetime, datetime]]:
        """Three spells of work a day."""
        days = (outing.returned.date() - outing.issued.date()).days + 1
        for number in range(days):
            day = outing.issued.date() + DAY * number
            for hour in (9, 12, 14):
                begin = self._at(day, hour, 40) + MINUTE * self.random.randint(0, 15)
                end = begin + MINUTE * self.random.randint(70, 95)
                if outing.issued < begin and end < outing.returned:
                    yield begin, end

    # --- cases -----------------------------------------------------------------------------------------------

    def _make_cases(self) -> list[Case]:
        places = ["槐阳镇", "南佐镇", "北正乡", "东张乡"]
        spells = [(outing, slot) for outing in self.outings for slot in outing.slots]
        self.random.shuffle(spells)
        cases: list[Case] = []
        self.of_slot: dict[tuple[int, datetime], Case] = {}
        for number in range(1, self.size.cases + 1):
            own = [spells.pop() for _n in range(min(len(spells), self.random.choice([2, 3, 4, 5])))]
            if not own:
                break
            first = min(slot[0] for _outing, slot in own)
            last = max(slot[1] for _outing, slot in own)
            case = Case(
                f"元自然资罚〔2026〕{number}号",
                self.random.choice(["无证采矿", "未经批准占用土地", "破坏耕地"]),
                f"当事人{number}",
                self.random.choice(places),
                known_at=first - DAY if self.random.random() < 0.65 else last + DAY * self.random.randint(1, 7),
                protected=number % 9 == 0,
                closed_at=last + DAY * 2 if number % 5 == 0 else None,
            )
            for outing, slot in own:
                case.works.append(self._work(outing, slot))
                self.of_slot[id(outing), slot[0]] = case
            cases.append(case)
        if len(cases) > 2:
            self._renumber(cases[2])
        return cases + self._rivals(cases)

    def _work(self, outing: Outing, slot: tuple[datetime, datetime]) -> Work:
        """As the case system has it: to the minute, and now and then beginning later than the work did."""
        begin = slot[0] + (MINUTE * 30 if self.random.random() < 0.06 else timedelta())
        return Work(tuple(p.cert_no for p in outing.users), begin, slot[1])

    def _renumber(self, case: Case) -> None:
        case.later_no = case.number.replace("罚〔", "罚立〔")
        case.renumbered_at = max(case.known_at, max(w.end for w in case.works)) + DAY * 2

    def _rivals(self, cases: Sequence[Case]) -> list[Case]:
        """Cases of the same officers at the same time, some known later: which of the two it was, no machine knows."""
        rivals = []
        for number, case in enumerate(self.random.sample(list(cases), max(1, len(cases) // 13)), start=1):
            late = case.known_at + DAY * 9 if number % 2 else case.known_at
            rival = Case(f"元自然资罚〔2026〕9{number}号", "擅自开采", f"另案人{number}", "苏阳乡", known_at=late)
            rival.works = [Work(w.cert_nos, w.begin - MINUTE * 5, w.end + MINUTE * 5) for w in case.works]
            rivals.append(rival)
        return rivals

    # --- recordings ------------------------------------------------------------------------------------------

    def _record(self) -> None:
        """Spreads the recordings over all spells of work; the last ones are cut so that the number is right."""
        spells = [(outing, slot) for outing in self.outings for slot in outing.slots]
        counts = dict.fromkeys(range(len(spells)), 0)
        for left in range(self.size.files):
            counts[left % len(spells) if left < len(spells) else self.random.randrange(len(spells))] += 1
        for number, (outing, (begin, end)) in enumerate(spells):
            span = int((end - begin) / timedelta(seconds=1)) - 600
            starts = sorted(self.random.sample(range(300, 300 + span, 20), counts[number]))
            for start in starts:
                self._add(outing, begin, begin + timedelta(seconds=start))
        for outing in self.outings:
            outing.files.sort(key=lambda file: file.begin)
        late = [o for o in self.outings if o.files and not o.remote and o.docked_at - o.files[-1].end > HOURS_24]
        if late:  # exactly twenty-four hours is in time
            late[0].docked_at = late[0].files[-1].end + HOURS_24

    def _add(self, outing: Outing, spell: datetime, begin: datetime) -> None:
        device = outing.device
        self.sequence[device.device_no] += 1
        user = outing.users
        wall = self._wall(device, begin)
        seq = f"{wall:%Y%m%d%H%M%S}_{self.sequence[device.device_no]:04}"
        name = seq if device.short else f"{device.serial}_{user[0].badge}_{seq}"
        officers = tuple(p.cert_no for p in user)
        case = self.of_slot.get((id(outing), spell))
        outing.files.append(Recorded(device, f"DCIM/100ANDRO/{name}.mp4", begin, wall, officers, case, outing))

    def _wall(self, device: Unit, begin: datetime) -> datetime:
        if device.clock == "ahead":
            return begin + AHEAD
        if device.clock == "unset" and begin.date() >= device.wrong_from:
            lost = datetime.combine(device.wrong_from, time(), BEIJING)
            return datetime(2000, 1, 1, tzinfo=BEIJING) + (begin - lost)
        return begin

    def _at(self, day: date, hour: int, minute: int) -> datetime:
        return datetime.combine(day, time(hour, minute), BEIJING)
