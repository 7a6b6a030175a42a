"""Visits, what lay on their cards and what was stored of it, out of ledger lines and visits' listings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import delete, or_, select, update

from dockd.nouns import EntryType, FileOutcome
from dockd.register.listings import Kept, Seen, VisitListing
from dockd.register.rebuilding.lines import TaleLine
from dockd.register.rebuilding.registry import note_identity
from dockd.register.rebuilding.rows import Rows, said
from dockd.register.tables import (
    BayRow,
    FootageRow,
    LocationRow,
    LocationState,
    ObservationRow,
    TransferRow,
    TransferState,
    VisitRow,
    VisitState,
)
from dockd.register.transfers import UNSTEADY, path_key, storable_ns
from dockd.register.values import chunks

ReadListing = Callable[[int, str, str], VisitListing | None]
"""(visit, place, SHA-256) to the listing that a visit left in the store, or None where it cannot be had any more."""

_OPENED = (
    *("station_no", "source", "docked_at", "opened_at", "bay", "identified_by", "evidence"),
    *("profile", "card", "path", "person", "note", "clock_synchronised"),
)
_ENDED = ("outcome", "reason", "manifest", "state", "bytes_read", "bytes_stored", "first_byte_at")
_FOOTAGE = ("visit_id", "card_instance", "path", "docked_at", "sha256", "size", "stored_at")
_PROOF = ("verified_at", "verified_via")
# The reason of a file whose bytes were known and got a further place.
_STORED_BEFORE = {"footage.stored_again": "stored_again", "footage.stored_here_too": "other_station"}


# --- visits -----------------------------------------------------------------------------------------------


def visit_opened(rows: Rows, line: TaleLine) -> None:
    data = line.data
    rows.add(
        VisitRow,
        id=data["visit_id"],
        recorder_id=rows.recorder(data["device_no"]),
        card_instance=data["card"]["instance"],
        state=VisitState.OPEN.value,
        **said(VisitRow, data, _OPENED),
    )
    rows.seen[data["visit_id"]] = set()
    if data["bay"]:
        _touch_bay(rows, line)
    if data["device_no"]:
        card = data["card"]
        size = str(card["size"]) if card["size"] and card["fs_uuid"] else None
        seen = {kind: card[kind] for kind in ("fs_uuid", "label", "usb_serial")} | {"card_size": size}
        for kind, value in seen.items():
            if value:
                note_identity(rows, line, data["device_no"], kind, value)


def _touch_bay(rows: Rows, line: TaleLine) -> None:
    where = {"station_no": line.data["station_no"], "bay": line.data["bay"]}
    if not rows.change_any(BayRow, where, last_seen_at=line.at):
        rows.add(BayRow, **where, first_seen_at=line.at, last_seen_at=line.at)


def visit_stored(rows: Rows, line: TaleLine) -> None:
    where = {"id": number_of(line)}
    rows.change(VisitRow, where, state=VisitState.SAFE.value, bytes_stored=line.data["bytes_stored"])
    rows.change_any(VisitRow, {**where, "stored_at": None}, stored_at=line.at)
    if line.data["safe"]:
        rows.change_any(VisitRow, {**where, "safe_at": None}, safe_at=line.at)


def number_of(line: TaleLine) -> int:
    """The number in a line's subject."""
    return int(line.subject.partition(":")[2])


def end_visits_with(read: ReadListing) -> Callable[[Rows, TaleLine], None]:
    """The end of a visit, with everything that its listing in the store tells of its card."""

    def visit_ended(rows: Rows, line: TaleLine) -> None:
        visit_id, data = number_of(line), line.data
        rows.change(VisitRow, {"id": visit_id}, **said(VisitRow, data, _ENDED), ended_at=line.at)
        seen = rows.seen.pop(visit_id, set())
        file = data["listing"]
        if file and (listing := read(visit_id, file["path"], file["sha256"])):
            _take_listing(rows, listing, seen)

    return visit_ended


def _take_listing(rows: Rows, listing: VisitListing, seen: set[int]) -> None:
    """Every entry of the card; the transfers are those of the listing, which knows more than "stored"."""
    visit_id = listing.visit_id
    rows.flush()
    dropped = rows.session.execute(delete(TransferRow).where(TransferRow.visit_id == visit_id))
    rows.counts["transfer"] -= int(dropped.rowcount)  # type: ignore[attr-defined]
    _release_temps(rows, listing)
    for entry in listing.entries:
        if entry.observation_id not in seen:
            _observe(rows, listing, entry)
        if entry.kept:
            _keep(rows, visit_id, entry.observation_id, entry.kept)


def _release_temps(rows: Rows, listing: VisitListing) -> None:
    """A temp that this visit took over from an earlier one is no longer that one's."""
    kept = [entry.kept for entry in listing.entries if entry.kept]
    names = {k.temp or k.file_no for k in kept if k.temp or (k.file_no and k.state == TransferState.STORED)}
    for some in chunks(sorted(name for name in names if name)):
        rows.session.execute(
            update(TransferRow)
            .where(
                or_(TransferRow.temp.in_(some), TransferRow.file_no.in_(some)),
                TransferRow.state == TransferState.COPYING,
                TransferRow.visit_id != listing.visit_id,
            )
            .values(state=TransferState.DONE, temp=None, reason=f"resumed in visit {listing.visit_id}")
            .execution_options(synchronize_session=False)
        )


def temp_set_aside(rows: Rows, line: TaleLine) -> None:
    """A half copy whose card came back without its file: nothing of it is left to take up."""
    where = {"temp": line.data["temp"], "state": TransferState.COPYING.value}
    rows.change_any(TransferRow, where, state=TransferState.DONE.value, temp=None, reason="set_aside")


def _observe(rows: Rows, listing: VisitListing, entry: Seen) -> None:
    same = ("seq", "path", "type", "size", "mtime_ns", "inode", "error", "media", "place")
    rows.add(
        ObservationRow,
        id=entry.observation_id,
        visit_id=listing.visit_id,
        card_instance=listing.card_instance,
        path_hash=path_key(entry.path),
        **{name: getattr(entry, name) for name in same},
    )


def _keep(rows: Rows, visit_id: int, observation_id: int, kept: Kept) -> None:
    same = ("state", "outcome", "reason", "temp", "final", "file_no", "sha256", "size", "verified_via", "verified_at")
    holes = {"holes": list(kept.holes)} if kept.holes else {}
    values = {name: getattr(kept, name) for name in (*same, "attempts")} | holes
    rows.add(TransferRow, observation_id=observation_id, visit_id=visit_id, **values)


# --- stored bytes -----------------------------------------------------------------------------------------


def footage_stored(rows: Rows, line: TaleLine) -> None:
    data = line.data
    _see(rows, line)
    values = said(FootageRow, data, _FOOTAGE)
    rows.add(
        FootageRow,
        id=data["footage_id"],
        observation_id=data["observation_id"],
        recorder_id=rows.recorder(data["device_no"]),
        path_hash=path_key(values["path"]),
        mtime_ns=storable_ns(data["mtime_ns"]),
        file_no=_file_no(line),
        holes=data["holes"] or None,
        **values,
    )
    _place(rows, line)


def footage_stored_again(rows: Rows, line: TaleLine) -> None:
    """A further place of footage whose file was missing or altered."""
    _see(rows, line)
    for lost in (LocationState.MISSING, LocationState.ALTERED):
        if place := line.data.get(lost.value):
            rows.change(LocationRow, {"path": place}, state=lost.value)
    _place(rows, line)


def _place(rows: Rows, line: TaleLine) -> None:
    rows.add(
        LocationRow,
        station_no=rows.station_no,
        footage_id=line.data["footage_id"],
        path=line.data["location"],
        state=LocationState.PRESENT.value,
        stored_at=line.at,
        **said(LocationRow, line.data, _PROOF),
    )


def _see(rows: Rows, line: TaleLine) -> None:
    """The file on the card and its transfer, until the visit's listing tells all of it."""
    data = line.data
    path = said(ObservationRow, data, ("path",))["path"]
    rows.add(
        ObservationRow,
        id=data["observation_id"],
        type=EntryType.FILE.value,
        path=path,
        path_hash=path_key(path),
        mtime_ns=storable_ns(data["mtime_ns"]),
        **said(ObservationRow, data, ("visit_id", "seq", "card_instance", "size", "inode", "media", "place")),
    )
    rows.seen.setdefault(data["visit_id"], set()).add(data["observation_id"])
    rows.add(TransferRow, **_transfer(line))


def _transfer(line: TaleLine) -> dict[str, Any]:
    data: Mapping[str, Any] = line.data
    again = _STORED_BEFORE.get(line.kind)
    unsteady = bool(data.get("unsteady")) and not again
    damaged = unsteady or (data["holes"] and not again)
    return {
        **said(TransferRow, data, ("observation_id", "visit_id", "sha256", "size", *_PROOF)),
        "state": TransferState.STORED.value,
        "outcome": (FileOutcome.STORED_DAMAGED if damaged else FileOutcome.STORED).value,
        "reason": again or (UNSTEADY if unsteady else None),
        "final": data["location"],
        "file_no": _file_no(line),
        "holes": data["holes"] or None,
        "attempts": 0,
    }


def _file_no(line: TaleLine) -> str:
    return line.subject.partition(":")[2]


def footage_state(state: LocationState) -> Callable[[Rows, TaleLine], None]:
    """What a reading of the store found of one place."""

    def found(rows: Rows, line: TaleLine) -> None:
        rows.change(LocationRow, {"path": line.data["location"]}, state=state.value)

    return found


def reopen_unfinished(rows: Rows) -> list[int]:
    """Visits that no line ended are open: the next visit's recovery ends them as partial. Returns their numbers.

    Also those whose files were stored: what else lay on their cards is not known any more.
    """
    rows.flush()
    wanted = VisitRow.state.in_((VisitState.OPEN, VisitState.SAFE))
    numbers = list(rows.session.scalars(select(VisitRow.id).where(wanted).order_by(VisitRow.id)))
    for number in numbers:
        rows.change(VisitRow, {"id": number}, state=VisitState.OPEN.value)
    return numbers
