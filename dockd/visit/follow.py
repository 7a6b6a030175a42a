"""What follows "stored": describe, alert, sidecars, manifest, end. Pending work is found in the register alone.

All of it can be cut short and done again: records are asked for by what footage lacks one,
sidecars by what revision lacks one, and manifest and listing are the same bytes every time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dockd.export.manifest import render_manifest, write_manifest
from dockd.export.visitfile import write_visit
from dockd.footage.probe import ProbeLimits, probe_batch
from dockd.nouns import MediaFacts, MediaType, VisitOutcome
from dockd.offload import durable
from dockd.offload.layout import manifest_path, visit_path
from dockd.offload.lock import sharing_lanes
from dockd.register import footage as footages
from dockd.register import listings, records, visits
from dockd.register.footage import Footage
from dockd.register.ledger import mirror_ledger
from dockd.register.reviews import take_turn
from dockd.register.station import MARKER, Station
from dockd.register.tables import VisitRow
from dockd.visit.alarms import alarm_files, alarm_records
from dockd.visit.describe import media_of, new_record
from dockd.visit.evidence import Visited
from dockd.visit.journal import journal_visit
from dockd.visit.look import profile_named
from dockd.visit.meter import Meter
from dockd.visit.rejudge import read_clocks, rejudge
from dockd.visit.request import Phase
from dockd.visit.sidecars import write_sidecars
from dockd.visit.survey import Touched, survey
from dockd.visit.upkeep import check_recorder

_BATCH = 64  # files a probe batch and a transaction
_ONCE_MORE = 16  # files of a batch; a hostile card must not cost its time twice


def follow_up(
    station: Station, visit_id: int, *, meter: Meter, check: Callable[[], None], safe: bool, interrupted: bool = False
) -> VisitOutcome:
    """Does what a visit's stored footage still lacks and ends the visit; returns its outcome.

    ``check`` raises when this process may not write any more. ``safe`` is what was said of the
    recorder. ``interrupted``: the copy was cut short, so the visit is partial whatever its files say.
    """
    meter.enter(Phase.DESCRIBING if safe else Phase.UNSAFE)
    describe(station, visit_id, meter, check)
    _write_lacking_sidecars(station, visit_id, check)
    note_marked_copies(station, visit_id)
    _write_lacking_sidecars(station, visit_id, check)
    read_clocks(station, visit_id)
    rejudge(station, check=check)
    check_recorder(station, visit_id)
    manifest = keep_manifest(station, visit_id)
    outcome = end(station, visit_id, manifest, interrupted)
    mirror_ledger(station.register, station.store, station.station_no, station.zone)
    journal_visit(station, visit_id)
    meter.enter(Phase.ENDED)
    return outcome


def _write_lacking_sidecars(station: Station, visit_id: int, check: Callable[[], None]) -> None:
    with station.register.read() as session:
        lacking = footages.without_sidecar(session, visit_id)
    write_sidecars(station, lacking, check=check)


def describe(station: Station, visit_id: int, meter: Meter, check: Callable[[], None]) -> None:
    """Gives every undescribed file of the visit its record, in the order of the card."""
    done = 0
    for batch in _undescribed(station, visit_id):
        check()
        _describe_batch(station, visit_id, batch, check)
        done += len(batch)
        meter.describe(done, done)


def _undescribed(station: Station, visit_id: int) -> Iterator[list[Footage]]:
    while True:
        with station.register.read() as session:
            batch = footages.undescribed(session, visit_id, limit=_BATCH)
        if not batch:
            return
        yield batch


def _describe_batch(station: Station, visit_id: int, batch: Sequence[Footage], check: Callable[[], None]) -> None:
    kinds = [media_of(footage, str(station.store)) for footage in batch]
    facts = _probe(station, batch, kinds, check)
    with station.register.write() as session:
        take_turn(session, station.station_no)
        visited = Visited.of(session, session.get_one(VisitRow, visit_id))
        profile = profile_named(station, session.get_one(VisitRow, visit_id).profile)
        added = []
        for footage, media in zip(batch, kinds, strict=True):
            said = facts.get(footage.location, MediaFacts())
            new = new_record(session, station, visited, profile, footage, media, said)
            record_id = records.add_record(session, new, at=station.now(), actor=station.actor)
            alarm_records(session, station, visited, record_id, new)
            added.append(Touched(record_id))
        survey(session, station, added)


def _probe(
    station: Station, batch: Sequence[Footage], kinds: Sequence[MediaType], check: Callable[[], None]
) -> dict[str, MediaFacts]:
    """The parsers' advice on the recordings of a batch. Nothing they do or fail to do stops a visit.

    What could not be looked at in time is tried once more, alone and with more of it: the machine may have been busy.
    """
    limits = ProbeLimits(
        seconds_per_file=station.settings.probe.deadline_s,
        memory_bytes=station.settings.probe.memory,
        cpu_seconds=station.settings.probe.cpu_s,
    )
    paths = {
        Path(station.store, footage.location): footage.location
        for footage, media in zip(batch, kinds, strict=True)
        if media.is_recording
    }
    if not paths:
        return {}
    with sharing_lanes(str(station.store), limits.lanes, check=check) as lanes:
        found = probe_batch(list(paths), limits=replace(limits, lanes=lanes))
        if late := [path for path, facts in found.items() if "probe_timeout" in facts.problems][:_ONCE_MORE]:
            found |= probe_batch(late, limits=replace(limits, lanes=1, seconds_per_file=2 * limits.seconds_per_file))
    return {paths[path]: facts for path, facts in found.items()}


def note_marked_copies(station: Station, visit_id: int) -> None:
    """The recorder copied and renamed what was marked important: the record gains the mark and the second name."""
    with station.register.write() as session:
        for copy in footages.marked_copies(session, visit_id):
            known = records.find_record(session, copy.record_id)
            name = footages.name_of(copy.path)
            if known is None or (known.important_mark and name in known.other_names):
                continue
            others = [*known.other_names, name] if name not in known.other_names else list(known.other_names)
            records.revise_record(
                session,
                copy.record_id,
                {"important_mark": True, "other_names": others},
                actor=station.actor,
                why=f"important_mark visit:{visit_id}",
                basis={"important_mark": "file_name", "other_names": "file_name"},
                at=station.now(),
            )


def keep_manifest(station: Station, visit_id: int) -> str | None:
    """Writes the visit's ``sha256sum`` manifest beside its footage; returns its place, None if nothing is stored."""
    with station.register.read() as session:
        lines = footages.manifest_lines(session, visit_id)
        visit = session.get_one(VisitRow, visit_id)
        visited = Visited.of(session, visit)
    if not lines:
        return None
    number = visited.recorder.device_no if visited.recorder else None
    place = manifest_path(visited.docked_at.astimezone(station.zone).date(), number, visit_id)
    _make_folder(str(station.store), os.path.dirname(place))
    write_manifest(f"{station.store}/{place}", render_manifest(lines))
    return place


def _make_folder(store: str, folder: str) -> None:
    """A visit to which everything was known already, or that was cut short early, has no folder yet."""
    with durable.blaming_store(store):
        os.stat(f"{store}/{MARKER}")  # where it lacks, the store is not mounted
        durable.make_directories(store, folder)


def write_listing(
    station: Station, visit_id: int, *, outcome: VisitOutcome, reason: str | None, manifest: str | None
) -> tuple[str, str]:
    """Writes what lay on the card, and what became of it, beside the manifest; returns its place and SHA-256.

    Also where nothing was stored: with it the whole of a visit survives the register.
    """
    with station.register.read() as session:
        said = listings.read_listing(session, visit_id, outcome=outcome.value, reason=reason, manifest=manifest)
    place = visit_path(said.docked_at.astimezone(station.zone).date(), said.device_no, visit_id)
    _make_folder(str(station.store), os.path.dirname(place))
    return place, write_visit(f"{station.store}/{place}", said)


def end(station: Station, visit_id: int, manifest: str | None, interrupted: bool) -> VisitOutcome:
    """The visit's outcome from its files' outcomes, and its last row."""
    with station.register.read() as session:
        outcome = judge_visit(visits.outcome_counts(session, visit_id), interrupted=interrupted)
    reason = "interrupted" if interrupted else None
    listing = write_listing(station, visit_id, outcome=outcome, reason=reason, manifest=manifest)
    with station.register.write() as session:
        alarm_files(session, station, Visited.of(session, session.get_one(VisitRow, visit_id)))
        visits.end_visit(
            session,
            visit_id,
            outcome=outcome,
            reason=reason,
            manifest=manifest,
            listing=listing,
            at=station.now(),
            actor=station.actor,
        )
    return outcome


def judge_visit(counts: dict[str, int], *, interrupted: bool) -> VisitOutcome:
    """``complete`` only if every file of the card is stored or rightly skipped."""
    short = sum(counts.get(outcome, 0) for outcome in ("unreadable", "stored_damaged", "pending"))
    return VisitOutcome.PARTIAL if short or interrupted else VisitOutcome.COMPLETE
