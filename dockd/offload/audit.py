"""The store compared with the register: all of it now, or what is due today so that all of it is every period.

Nothing in the store is changed, and memory is bounded whatever lies there. The whole audit reads footage
(length and digest), sidecars and visits' listings (digest), manifests (line by line), and walks for what
nobody registered. What is due is footage whose proof has become old; its sidecars, its visit's papers
and its folder are looked at with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from dockd.offload.examine import Audit, Finding, Found, Kind, Reading, Watch
from dockd.offload.strangers import Search
from dockd.register import alerts, holdings, renewals
from dockd.register.holdings import Holding
from dockd.register.renewals import Due
from dockd.register.station import MARKER, Station

_PAGE = 100
_GROUP_BYTES = 256 << 20  # what an interruption makes be read again, at most (or one file, if that is larger)
_AGAIN = timedelta(days=1)  # what was found to be wrong is looked at again after that

# Whose alerts a whole audit may close: a temp that vanished (transfer:…) is not found again by reading the store.
_OWN = frozenset({"location", "sidecar", "listing", "manifest", "store"})


def audit_store(station: Station, *, since: datetime | None = None, watch: Watch | None = None) -> Audit:
    """Compares the store with the register: all of it, or with ``since`` what was stored since then.

    The walk for unregistered files is always whole. On return the places' states, the ledger
    (a line per finding and one ``store.verified``) and the alerts say what was found. Raises
    StoreMissing when the store goes away meanwhile: nothing is called missing because of that.
    """
    reading = Reading(station, watch or Watch())
    with station.register.read() as session:
        reading.watch.total(*holdings.count_footage(session, station.station_no, since))
    for group in _groups(_pages(station, holdings.page_footage, since)):
        reading.keep_proofs([(holding, reading.examine(holding, Kind.FOOTAGE)) for holding in group])
    for kind, page in ((Kind.SIDECAR, holdings.page_sidecars), (Kind.LISTING, holdings.page_listings)):
        for group in _groups(_pages(station, page, since)):
            _examine_papers(reading, kind, group)
    _audit_manifests(reading, since)
    Search(reading).everywhere()
    with station.register.write() as session:
        if since is None:
            _settle_healed(session, reading)
        _sum_up(session, reading, since=since)
    return reading.result()


def verify_due(station: Station, *, until: datetime | None = None, watch: Watch | None = None) -> Audit:
    """Renews the proof of what is due, the oldest first, until all of it is done or ``until`` has come.

    No proof becomes older than ``verify.every_days`` (0: never looked at), if this is called often enough:
    it keeps no state but ``location.verified_at``, so that any call goes on where the last one ended,
    however that was. ``until`` is looked at between files. ``left`` of the result is what is due and
    was not reached. What was found to be wrong is looked at again after a day. On return ledger
    (one ``store.verified``, if anything was read) and alerts say what was found, as with
    ``audit_store``. Raises StoreMissing and other StoreErrors as that does.
    """
    reading = Reading(station, watch or Watch(), often=True)
    days = station.settings.verify.every_days
    if not days:
        return reading.result()
    begun = station.now()
    due = renewals.due_at(begun, timedelta(days=days))
    with station.register.read() as session:
        left, size = renewals.count_due(session, station.station_no, due)
    reading.watch.total(left, size)
    search = Search(reading)
    try:
        for group in _groups(_due_pages(station, due)):
            left -= _renew(reading, search, group, begun, until)
            if until and station.now() >= until:
                break
    finally:
        if reading.checked:
            with station.register.write() as session:
                _settle_gone(session, reading)
                _sum_up(session, reading, due=True, left=left)
    return reading.result(left=max(0, left))


# --- pages and groups ---------------------------------------------------------------------------------------


def _pages(
    station: Station, read_page: Callable[..., list[Holding]], since: datetime | None
) -> Iterator[list[Holding]]:
    after = 0
    while True:
        with station.register.read() as session:
            page = read_page(session, station.station_no, since, after=after, limit=_PAGE)
        if not page:
            return
        yield page
        after = page[-1].key


def _due_pages(station: Station, due: Due) -> Iterator[list[Holding]]:
    after = None
    while True:
        with station.register.read() as session:
            page = renewals.due_locations(session, station.station_no, due, after=after, limit=_PAGE)
        if not page:
            return
        yield page
        if page[-1].verified_at is not None:
            after = (page[-1].verified_at, page[-1].key)


def _groups(pages: Iterable[list[Holding]]) -> Iterator[list[Holding]]:
    """The same files in groups whose findings are written down together."""
    for page in pages:
        group: list[Holding] = []
        size = 0
        for holding in page:
            group.append(holding)
            size += holding.size or 0
            if size >= _GROUP_BYTES:
                yield group
                group, size = [], 0
        if group:
            yield group


# --- the whole audit ------------------------------------------------------------------------------------------


def _audit_manifests(reading: Reading, since: datetime | None) -> None:
    after = 0
    while True:
        with reading.station.register.read() as session:
            page = holdings.page_manifests(session, reading.station.station_no, since, after=after, limit=_PAGE)
        if not page:
            return
        _examine_manifests(reading, page)
        after = page[-1][0]


def _examine_papers(reading: Reading, kind: Kind, papers: Iterable[Holding]) -> None:
    reading.keep([(f"{kind.value}:{paper.key}", reading.examine(paper, kind).fault) for paper in papers])


def _examine_manifests(reading: Reading, manifests: Iterable[tuple[int, str]]) -> None:
    reading.keep([(f"manifest:{visit}", reading.examine_manifest(visit, path)) for visit, path in manifests])


def _settle_healed(session: Session, reading: Reading) -> None:
    """Alerts whose file was found as it should be are closed by that fact."""
    station_no = reading.station.station_no
    found = alerts.list_alerts(session, open_only=True, kind="store_altered", station_no=station_no)
    standing = {alert.about for alert in found}
    elsewhere = {alerts.matter(about) for about in reading.elsewhere}
    healed = standing - {alerts.matter(fault.about) for fault in reading.faults}
    for about in sorted(about for about in healed if about.partition(":")[0] in _OWN):
        alerts.settle_alert(
            session,
            station_no=station_no,
            kind="store_altered",
            about=about,
            note="stored again" if about in elsewhere else "found as registered",
            at=reading.station.now(),
        )


# --- what is due ------------------------------------------------------------------------------------------------


def _renew(reading: Reading, search: Search, group: list[Holding], begun: datetime, until: datetime | None) -> int:
    """Examines a group and what lies beside it, then keeps its proofs; returns how many had their turn.

    The proofs come last: whoever is interrupted before them looks at all of it again.
    """
    with reading.station.register.read() as session:
        found = renewals.last_findings(session, [holding.file_no for holding in group if holding.file_no])
    results: list[tuple[Holding, Found]] = []
    turns = 0
    for holding in group:
        turns += 1
        if not _was_just_found(found.get(holding.file_no or ""), begun):
            results.append((holding, reading.examine(holding, Kind.FOOTAGE)))
        if until and reading.station.now() >= until:
            break
    if results:
        _look_beside(reading, search, [holding for holding, _ in results])
        reading.keep_proofs(results)
    return turns


def _was_just_found(at: datetime | None, begun: datetime) -> bool:
    return at is not None and at <= begun < at + _AGAIN


def _look_beside(reading: Reading, search: Search, group: list[Holding]) -> None:
    """Sidecars, papers of the visits whose turn it is, and folders of a group of footage."""
    with reading.station.register.read() as session:
        sidecars = renewals.sidecars_of(session, sorted({h.record_id for h in group if h.record_id is not None}))
        visits = renewals.visits_beside(session, reading.station.station_no, [holding.key for holding in group])
        manifests, listings = renewals.papers_of(session, visits)
    _examine_papers(reading, Kind.SIDECAR, sidecars)
    _examine_papers(reading, Kind.LISTING, [holdings.as_paper(listing) for listing in listings])
    _examine_manifests(reading, manifests)
    places = [h.path for h in group] + [path for _, path in manifests] + [listing.path for listing in listings]
    search.around(os.path.dirname(place) for place in places)


def _settle_gone(session: Session, reading: Reading) -> None:
    """Alerts about what nobody registered are closed when it is not there any more."""
    if not os.path.exists(f"{reading.root}/{MARKER}"):
        return  # the store itself is gone
    for about, location in list(reading.standing.items()):
        if about.startswith("store:") and not os.path.lexists(f"{reading.root}/{location}"):
            reading.settle(session, about, "not there any more")


# --- the summary --------------------------------------------------------------------------------------------------


def _sum_up(session: Session, reading: Reading, **scope: object) -> None:
    counts = {finding.value: 0 for finding in Finding}
    for fault in reading.faults:
        counts[fault.finding.value] += 1
    told = {"checked": reading.checked, "bytes": reading.size, "cached": reading.cached, **scope, **counts}
    reading.append(session, "store.verified", f"store:{reading.station.station_no}", told)
