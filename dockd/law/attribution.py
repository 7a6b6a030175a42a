"""Article 27(1), 执法人员信息 and the case: whose recording it is, from witnesses that are weighed and never guessed.

行政执法机关应当加强行政执法全过程记录资料的管理，明确专门人员负责行政执法全过程记录资料的归档保存、使用管理，
并按照名称、记录设备编号、执法人员信息、使用时间、案件当事人和案由名称等项目分类存储。
The agency shall strengthen the management of whole-process records, name staff who are responsible
for their filing, keeping and use, and store them classified by items such as title, number of the
recording device, officer information, time of use, party to the case and cause of action.

Witnesses of the officer, strongest first: custody and the file's name (equals: where both speak they
must agree), the binding file on the card, the standing owner. A weak witness never overrides a strong
one, and is silent where a strong one leaves it possible that it was somebody else: a binding file is
written once and goes stale, so its disagreement with custody or name is no conflict; its officer is
kept as a candidate. Everything is per file: two officers on one card need nothing special.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dockd.law.instants import LATEST, earlier, later, utc
from dockd.nouns import Attribution, CaseWork, Custody, OwnerState, Reading, Recorder, UseTime

Span = tuple[datetime, datetime]
LookUp = Callable[[str], str | None]


def attribute(
    *,
    use: UseTime,
    readings: tuple[Reading, ...],
    device: Recorder | None,
    custody: Sequence[Custody],
    officer_by_token: LookUp,
    device_by_token: LookUp,
    standing_owner: str | None,
    cases: Sequence[CaseWork],
    binding_officer: str | None = None,
    said_officers: tuple[str, ...] | None = None,
    said_place: str | None = None,
) -> Attribution:
    """Officer and case of one recording, each with its basis, or empty with the candidates for a person.

    ``custody`` is that of ``device``; ``cases`` those that may matter, of any officer, in any
    order. The look-ups answer with a certificate or device number, or None where a token is
    nobody's or could be two people's or recorders'. ``standing_owner`` and ``binding_officer``
    are certificate numbers. ``said_officers`` are those whom a person has named (nobody, where he said
    so): no witness stands against him, and the case is looked for with them. ``said_place`` is where
    a person says that it was recorded: it decides between cases, and against one that was elsewhere.
    Candidates are certificate numbers or, where the name carries a code that nobody has, that code.
    Bases: ``custody+name``, ``custody``, ``name``, ``binding_file``, ``standing_owner``;
    ``officer+time`` and ``officer+time+place`` for the case. Raises ``ValueError`` for a time without zone.
    """
    spans = _candidate_spans(use)
    held = _read_custody(custody, spans)
    named = _read_name(readings, device, officer_by_token, device_by_token)
    owner = _weigh(held, named, binding_officer, standing_owner) if said_officers is None else _said(said_officers)
    whole = use.used_from is not None and use.used_to is not None
    return _add_case(owner, cases, spans, whole, _plain(said_place))


# --- when it may have been recorded --------------------------------------------------------------


def _candidate_spans(use: UseTime) -> tuple[Span, ...]:
    """Every span that a witness gives the recording, the best one first; none where no time is known."""
    known = [utc(t) for t in (use.used_from, use.used_to) if t is not None]
    best = [(min(known), max(known))] if known else []
    length = best[0][1] - best[0][0] if best else timedelta(0)
    others = [(earlier(end, length), utc(end)) for end in use.other_ends]
    return tuple(dict.fromkeys(best + others))


def _overlaps(span: Span, begin: datetime, end: datetime) -> bool:
    """Whether a half-open period has a moment of ``span``; a photograph is one moment."""
    return begin < end and span[0] < end and (begin <= span[0] or begin < span[1])


def _covers(span: Span, periods: Iterable[Span]) -> bool:
    """Whether half-open periods, taken together, leave no moment of ``span`` out."""
    reach, stop = span
    for begin, end in sorted(periods):
        if begin <= reach < end:
            if end >= stop:
                return True
            reach = end
    return False


# --- custody: who held the recorder ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Held:
    """What custody says: who held the recorder in each possible span, and who ever did."""

    officer: str | None
    by_span: tuple[frozenset[str], ...]
    ever: frozenset[str]

    @property
    def holders(self) -> frozenset[str]:
        return frozenset().union(*self.by_span)

    @property
    def possible(self) -> frozenset[str]:
        """Who may have held it; without any time, whoever ever did."""
        return self.holders if self.by_span else self.ever

    @property
    def crosses(self) -> bool:
        """The time is known and a change of custody lies within the recording."""
        return len(self.by_span) == 1 and bool(self.holders) and self.officer is None

    def excludes(self, officer: str) -> bool:
        """Whichever witness of the time is right, somebody else held the recorder."""
        return bool(self.by_span) and all(who and officer not in who for who in self.by_span)


def _read_custody(custody: Sequence[Custody], spans: tuple[Span, ...]) -> _Held:
    periods = [(c.cert_no, utc(c.issued_at), LATEST if c.returned_at is None else utc(c.returned_at)) for c in custody]
    by_span = tuple(frozenset(who for who, b, e in periods if _overlaps(span, b, e)) for span in spans)
    ever = frozenset(who for who, _, _ in periods)
    holders = frozenset().union(*by_span)
    if len(holders) != 1:
        return _Held(None, by_span, ever)
    (holder,) = holders
    his = [(b, e) for who, b, e in periods if who == holder]
    return _Held(holder if all(_covers(span, his) for span in spans) else None, by_span, ever)


# --- the name: what the recorder wrote ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Named:
    """What the name says: the officers it can mean, codes nobody has, or that another recorder wrote it."""

    officers: frozenset[str] = frozenset()
    codes: tuple[str, ...] = ()
    elsewhere: bool = False

    @property
    def officer(self) -> str | None:
        return next(iter(self.officers)) if len(self.officers) == 1 and not self.elsewhere else None


def _read_name(
    readings: tuple[Reading, ...], device: Recorder | None, officer_by_token: LookUp, device_by_token: LookUp
) -> _Named:
    """The known recorder fixes the order of the tokens; where it does not, the one order whose officer exists.

    A name that can only have been written by another registered recorder says so: then neither its
    officer nor the custody of this recorder is evidence enough.
    """
    found = [(r, device_by_token(r.device) if r.device else None) for r in dict.fromkeys(readings)]
    own = [r for r, number in found if number and (device is None or number == device.device_no)]
    open_order = [r for r, number in found if not number]
    foreign = [r for r, number in found if number and r not in own]
    named = _look_up(own or open_order, officer_by_token)
    if foreign and not own and not named.officers:
        return replace(_look_up(foreign, officer_by_token), elsewhere=True)
    return named


def _look_up(readings: Sequence[Reading], officer_by_token: LookUp) -> _Named:
    tokens = [r.officer for r in readings if r.officer]
    officers = frozenset(who for who in map(officer_by_token, tokens) if who)
    return _Named(officers, () if officers else tuple(sorted(set(tokens))))


# --- weighing ------------------------------------------------------------------------------------


def _weigh(held: _Held, named: _Named, binding: str | None, owner: str | None) -> Attribution:
    strong = [*sorted(held.holders), *sorted(named.officers), *named.codes]
    if _disagree(held, named):
        return Attribution(owner_state=OwnerState.CONFLICT, officer_candidates=_distinct(strong))
    officer, basis = _strong_witness(held, named)
    if officer is None:
        officer, basis = _weak_witness(held, named, binding, owner)
    if officer is None:
        everybody = [*strong, *sorted(held.possible), binding, owner]
        return Attribution(officer_candidates=_distinct(everybody))
    others = [who for who in _distinct([*strong, binding]) if who != officer]
    return Attribution(
        officers=(officer,), owner_state=OwnerState.ASSIGNED, officer_basis=basis, officer_candidates=tuple(others)
    )


def _said(officers: tuple[str, ...]) -> Attribution:
    """A person's word: the officers whom he named, or that nobody is known."""
    state = OwnerState.ASSIGNED if officers else OwnerState.UNASSIGNED
    return Attribution(officers=officers, owner_state=state)


def _disagree(held: _Held, named: _Named) -> bool:
    if named.elsewhere:
        return True
    if held.officer is not None:
        return bool(named.officers) and held.officer not in named.officers
    if held.crosses:
        # An issue that was entered a minute late wrongs nobody where the name means the one holder there is.
        return named.officer is None or held.holders != {named.officer}
    return bool(named.officers) and all(held.excludes(who) for who in named.officers)


def _strong_witness(held: _Held, named: _Named) -> tuple[str | None, str]:
    if held.officer is not None:
        return held.officer, "custody+name" if named.officer == held.officer else "custody"
    return named.officer, "name"


def _weak_witness(held: _Held, named: _Named, binding: str | None, owner: str | None) -> tuple[str | None, str]:
    """Binding file, then standing owner, unless custody or name make somebody else possible."""
    for officer, basis in ((binding, "binding_file"), (owner, "standing_owner")):
        if officer and (held.possible | named.officers) <= {officer}:
            return officer, basis
    return None, ""


def _distinct(candidates: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(c for c in candidates if c))


# --- the case --------------------------------------------------------------------------------------


def _add_case(
    owner: Attribution, cases: Sequence[CaseWork], spans: tuple[Span, ...], whole: bool, place: str
) -> Attribution:
    """The case of the officer that covers the whole recording, if no other one can; otherwise the candidates."""
    if not owner.officers:
        return replace(owner, case_candidates=_ordered(_covering(cases, spans, any), owner.officer_candidates))
    his = [c for c in cases if c.cert_no in owner.officers]
    possible = _covering(his, spans, any)
    number = _the_one(possible, place)
    if whole and number and number in {c.case_no for c in _covering(his, spans, all)}:
        decided = len({c.case_no for c in possible}) > 1
        return replace(owner, case_no=number, case_basis="officer+time+place" if decided else "officer+time")
    nobodys = [c for c in cases if c.cert_no is None]
    return replace(owner, case_candidates=_ordered(possible or _covering(nobodys, spans, any), owner.officers))


def _the_one(possible: Sequence[CaseWork], place: str) -> str | None:
    """The only case that it can be. A place that was said rules out the cases that were elsewhere.

    A case of which no place is known may have been anywhere.
    """
    numbers = {c.case_no for c in possible if not place or _may_be_at(c, place)}
    return next(iter(numbers)) if len(numbers) == 1 else None


def _may_be_at(case: CaseWork, place: str) -> bool:
    known = _plain(case.place)
    return not known or known in place or place in known


def _plain(place: str | None) -> str:
    """A place's words as they are compared: 南佐镇 and 南佐镇某采石场 are one place, told more or less exactly."""
    return "".join(unicodedata.normalize("NFKC", place or "").split()).casefold()


def _covering(
    cases: Sequence[CaseWork], spans: tuple[Span, ...], how: Callable[[Iterable[bool]], bool]
) -> list[CaseWork]:
    """The rows of the cases at which one officer was at work in any, or all, of the spans."""
    periods: dict[tuple[str, str | None], list[Span]] = {}
    for case in cases:
        if case.used_from is not None:
            periods.setdefault((case.case_no, case.cert_no), []).append(_period(case.used_from, case.used_to))
    if not spans:
        return []
    return [
        case
        for case in cases
        if (known := periods.get((case.case_no, case.cert_no))) and how(_covers(span, known) for span in spans)
    ]


def _period(begin: datetime, end: datetime | None) -> Span:
    """A row's period, its last moment included; without an end it goes on. Without a start there is none."""
    return utc(begin), LATEST if end is None else later(end, timedelta(microseconds=1))


def _ordered(cases: Iterable[CaseWork], officers: Sequence[str]) -> tuple[str, ...]:
    """Case numbers once each, those of the likely officers first."""
    near = sorted({c.case_no for c in cases if c.cert_no in officers})
    return _distinct([*near, *sorted({c.case_no for c in cases})])
