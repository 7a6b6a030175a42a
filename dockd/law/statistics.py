"""Article 30: the figures of a period, counted for the whole, each unit, officer, recorder and month.

行政执法机关应当加强对行政执法全过程记录资料的数据统计分析，充分发挥全过程记录和数据统计分析信息在案卷评查、执法监督、
评议考核、舆情应对、行政决策和健全社会信用体系等工作中的作用。
The agency shall strengthen the statistical analysis of whole-process records and use it fully in the review of
case files, supervision, assessment, response to public opinion, decisions and the system of social credit.

How it is read: a recording belongs to the month in which it was made (docked, where that is not known).
A recording of several officers counts for each of them, so officers' figures do not add up to the whole.
What is pending or unknown is counted as such and in no rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from dockd.nouns import LateKind, OwnerState

NOT_COUNTED = ""
"""The key of what has no unit, officer, recorder or month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """To whom and when something is counted; empty: nobody knows."""

    month: str = NOT_COUNTED
    unit: str = NOT_COUNTED
    device_no: str = NOT_COUNTED
    officers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recordings:
    """Recordings that the figures cannot tell apart: ``files`` of them, with ``size`` bytes and ``seconds`` in all.

    ``storing_h``: hours from the end of each to its storing, of those whose end is known.
    """

    where: Where
    files: int = 1
    size: int
    seconds: float = 0
    late: bool | None = None
    late_kind: LateKind | None = None
    excused: bool = False
    storing_h: Sequence[float] = ()
    owner_state: OwnerState = OwnerState.UNASSIGNED
    complete: bool = False
    important: bool = False
    is_evidence: bool = False
    has_disc: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """Anything else that is counted: ``figure`` is a field of ``Figures``."""

    figure: str
    where: Where
    amount: float = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What article 30 asks for, of one period and one unit, officer, recorder or all."""

    files: int = 0
    hours: float = 0
    bytes: int = 0
    in_time: int = 0
    late: int = 0
    late_docked: int = 0
    late_stored: int = 0
    excused: int = 0
    undecided: int = 0
    late_rate: float | None = None
    median_hours_to_storage: float | None = None
    unassigned: int = 0
    incomplete: int = 0
    important: int = 0
    gaps_open: int = 0
    gaps_closed: int = 0
    cases_with_footage: int = 0
    cases_without_footage: int = 0
    cases_past_30_days: int = 0
    discs_due: int = 0
    discs_made: int = 0
    faults: int = 0
    days_out_of_service: float = 0
    battery_failures: int = 0
    space_failures: int = 0
    early_removals: int = 0
    verification_failures: int = 0
    deletions: int = 0


@dataclass(frozen=True, slots=True)
class Statistics:
    """The figures of all, and of each unit, officer, recorder and month by its key, in the order of the keys."""

    total: Figures
    units: dict[str, Figures]
    officers: dict[str, Figures]
    recorders: dict[str, Figures]
    months: dict[str, Figures]


def count(recordings: Iterable[Recordings], matters: Iterable[Matter]) -> Statistics:
    """The figures of everything that is given."""
    total: dict[str, _Sum] = {}
    sums: dict[str, dict[str, _Sum]] = {name: {} for name in _KEYS}
    for some in recordings:
        for one in _sums(some.where, total, sums):
            one.add(some)
    for matter in matters:
        for one in _sums(matter.where, total, sums):
            one.counts[matter.figure] = one.counts.get(matter.figure, 0) + matter.amount
    groups = {name: {key: found[key].figures() for key in sorted(found)} for name, found in sums.items()}
    return Statistics(total.get("", _Sum()).figures(), **groups)


_KEYS: dict[str, Callable[[Where], Sequence[str]]] = {
    "units": lambda where: (where.unit,),
    "officers": lambda where: where.officers or (NOT_COUNTED,),
    "recorders": lambda where: (where.device_no,),
    "months": lambda where: (where.month,),
}


@dataclass(slots=True)
class _Sum:
    counts: dict[str, float] = field(default_factory=dict)
    storing: list[float] = field(default_factory=list)

    def add(self, some: Recordings) -> None:
        holds = {
            "files": True,
            "in_time": some.late is False,
            "late": some.late is True,
            "late_docked": bool(some.late) and some.late_kind is LateKind.DOCKED,
            "late_stored": bool(some.late) and some.late_kind is LateKind.STORED,
            "excused": some.excused,
            "undecided": some.late is None,
            "unassigned": some.owner_state is not OwnerState.ASSIGNED,
            "incomplete": not some.complete,
            "important": some.important,
            "discs_due": some.is_evidence and not some.has_disc,
            "discs_made": some.is_evidence and some.has_disc,
        }
        amounts = {name: some.files for name, held in holds.items() if held}
        for name, amount in {"hours": some.seconds / 3600, "bytes": some.size, **amounts}.items():
            self.counts[name] = self.counts.get(name, 0) + amount
        self.storing += some.storing_h

    def figures(self) -> Figures:
        said = {name: round(n, 2) if name in _PARTS else int(n) for name, n in self.counts.items()}
        judged = self.counts.get("in_time", 0) + self.counts.get("late", 0)
        return Figures(
            **said,  # type: ignore[arg-type]
            late_rate=round(self.counts.get("late", 0) / judged, 4) if judged else None,
            median_hours_to_storage=round(median(self.storing), 2) if self.storing else None,
        )


_PARTS = ("hours", "days_out_of_service")  # what is not counted in whole numbers


def _sums(where: Where, total: dict[str, _Sum], sums: dict[str, dict[str, _Sum]]) -> list[_Sum]:
    """Every sum to which one thing counts: the whole, and one of each kind (of officers: each of his)."""
    found = [total.setdefault("", _Sum())]
    for name, keys in _KEYS.items():
        found += [sums[name].setdefault(key, _Sum()) for key in dict.fromkeys(keys(where))]
    return found
