"""``dockd record``: what is said of footage: list, show, tag, history, rejudge."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.errors import BadValue, UnknownNumber
from dockd.locale import N_, _

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session

    from dockd.law.vocabulary import Term
    from dockd.register.records import Record, RecordFilter
    from dockd.register.station import Station
    from dockd.register.tagging import Following, Tagged
    from dockd.settings import Settings

_PAGE = 500
_SCREEN = 200  # rows of a table that nobody asked to be longer
_LENGTHS = {"title": 200, "party": 500, "case_cause": 255, "place": 255, "matter": 255, "remark": 1000}
_YES_NO = click.Choice(["yes", "no"])


@click.group(help=N_("What is said of footage: list, show, tag, history, rejudge."))
def record() -> None:
    """The noun's group."""


# --- list -------------------------------------------------------------------------------------------------


@record.command("list", help=N_("Records in the order in which they were made; all conditions must hold."))
@click.option("--unassigned", is_flag=True, help=N_("without an officer, or with contradictory evidence of one"))
@click.option("--case", "case_no", metavar="NO", help=N_("of this case"))
@click.option("--officer", metavar="CERT_NO", help=N_("that name this officer"))
@click.option("--device-no", metavar="N", help=N_("of this recorder"))
@click.option("--officer-name", metavar="TEXT", help=N_("that name an officer whose name contains this text"))
@click.option("--title", metavar="TEXT", help=N_("whose title contains this text"))
@click.option("--party", metavar="TEXT", help=N_("whose party contains this text"))
@click.option("--cause", metavar="TEXT", help=N_("whose cause of action contains this text"))
@click.option("--matter", metavar="TEXT", help=N_("whose matter contains this text"))
@click.option("--place", metavar="TEXT", help=N_("whose place contains this text"))
@click.option("--act-type", metavar="WORD", help=N_("of this kind of act"))
@click.option("--stage", metavar="WORD", help=N_("of this stage"))
@click.option("--class", "retention_class", metavar="NAME", help=N_("of this retention class"))
@click.option("--late", type=_YES_NO, help=N_("stored too late, or in time"))
@click.option("--evidence", "is_evidence", type=_YES_NO, help=N_("used as evidence, or not"))
@click.option("--incomplete", is_flag=True, help=N_("that lack an item of article 27"))
@click.option("--no-case", "without_case", is_flag=True, help=N_("without a case"))
@click.option("--from", "used_from", metavar="T", help=N_("in use at or after this time"))
@click.option("--to", "used_to", metavar="T", help=N_("in use at or before this time"))
@click.option("--visit", "visit_id", type=int, metavar="ID", help=N_("of this visit"))
@click.option("--session", "session_id", type=int, metavar="ID", help=N_("of this session"))
@click.option("--media", metavar="TYPE", help=N_("of this kind: video, audio, photo, log …"))
@click.option("--limit", type=click.IntRange(1), metavar="COUNT", help=N_("at most so many"))
@click.option("--after", type=int, default=0, metavar="ID", help=N_("only those after this record"))
@json_option
@pass_invocation
def list_(invocation: Invocation, /, limit: int | None, after: int, as_json: bool, **conditions: Any) -> None:
    from dockd.cli.output import print_listing, say

    station = invocation.station()
    wanted = _filter(invocation, station, conditions)
    now = station.now()
    if as_json:
        _print_array(_found(station, wanted, limit, after), now)
        return
    shown = limit or _SCREEN
    rows = list(_found(station, wanted, shown + 1, after))
    if wanted.unassigned or wanted.without_case:
        print_listing([_waiting(r, now) for r in rows[:shown]], _waiting_columns(), as_json=False)
    else:
        print_listing([_row(r, now) for r in rows[:shown]], _columns(), as_json=False)
    if len(rows) > shown:
        say(
            _("There are more: --after {record_id}, --limit or --json show them.").format(
                record_id=rows[shown - 1].record_id
            )
        )


def _filter(invocation: Invocation, station: Station, said: Mapping[str, Any]) -> RecordFilter:
    from dockd.nouns import MediaType
    from dockd.register.cases import find_case
    from dockd.register.records import RecordFilter

    times = {name: invocation.parse_time(said[name]) if said[name] else None for name in ("used_from", "used_to")}
    yes_no = {name: said[name] and said[name] == "yes" for name in ("late", "is_evidence")}
    media = said["media"]
    if media is not None and media not in list(MediaType):
        raise BadValue(what="--media", value=media, expected=", ".join(MediaType))
    with station.register.read() as session:
        _require_known(session, said)
        case = find_case(session, said["case_no"]) if said["case_no"] else None
    said = {**said, "case_no": case.case_no if case else None}  # whichever of its numbers was given
    return RecordFilter(**{**said, **times, **yes_no, "media": MediaType(media) if media else None})


def _require_known(session: Session, said: Mapping[str, Any]) -> None:
    """A number that nobody has would give an empty list that looks like an answer."""
    from dockd.register.cases import find_case, unknown_case
    from dockd.register.officers import find_officer
    from dockd.register.recorders import find_recorder

    if said["case_no"] and find_case(session, said["case_no"]) is None:
        raise unknown_case(said["case_no"])
    if said["officer"] and find_officer(session, said["officer"]) is None:
        raise UnknownNumber(noun=_("officer"), number=said["officer"], command="dockd officer list")
    if said["device_no"] and find_recorder(session, said["device_no"]) is None:
        raise UnknownNumber(noun=_("recorder"), number=said["device_no"], command="dockd recorder list")


def _found(station: Station, wanted: RecordFilter, limit: int | None, after: int) -> Iterator[Record]:
    from dockd.register.records import list_records

    left = limit
    while left is None or left > 0:
        size = _PAGE if left is None else min(_PAGE, left)
        with station.register.read() as session:
            page = list_records(session, wanted, limit=size, after=after)
        yield from page
        if len(page) < size:
            return
        after = page[-1].record_id
        left = None if left is None else left - len(page)


def _print_array(records: Iterator[Record], now: datetime) -> None:
    """One JSON array, written as it is read: a register of years is not held in memory."""
    from dockd.cli.output import jsonable

    separator = "[\n"
    for found in records:
        print(separator, json.dumps(jsonable(_row(found, now)), ensure_ascii=False), sep="", end="")
        separator = ",\n"
    print("[]" if separator == "[\n" else "\n]")


def _row(found: Record, now: datetime) -> dict[str, Any]:
    """The record; ``waiting_s``: for how long it has been waiting for its officer or its case."""
    waits = found.media_type.is_recording and not (found.officers and found.case_no)
    return asdict(found) | {"waiting_s": int((now - found.stored_at).total_seconds()) if waits else None}


def _waiting(found: Record, now: datetime) -> dict[str, Any]:
    """A row of the table of what waits for a person."""
    from dockd.cli.recordwords import value_words

    state = value_words("owner_state", found.owner_state.value)
    return _row(found, now) | {"waiting": _span(now - found.stored_at), "owner_state": state}


def _span(age: timedelta) -> str:
    return _("{days} d {hours} h").format(days=age.days, hours=age.seconds // 3600)


def _waiting_columns() -> tuple[tuple[str, str], ...]:
    return (
        ("record_id", _("record")),
        ("file_no", _("file number")),
        ("device_no", _("recorder")),
        ("used_from", _("used from")),
        ("used_to", _("used to")),
        ("owner_state", _("state")),
        ("officers", _("officers")),
        ("officer_candidates", _("possible officers")),
        ("case_candidates", _("possible cases")),
        ("waiting", _("waiting")),
    )


def _columns() -> tuple[tuple[str, str], ...]:
    return (
        ("record_id", _("record")),
        ("file_no", _("file number")),
        ("title", _("title")),
        ("device_no", _("recorder")),
        ("officer_names", _("officers")),
        ("used_from", _("used from")),
        ("used_to", _("used to")),
        ("party", _("party")),
        ("case_cause", _("cause")),
        ("late", _("late")),
        ("tags_complete", _("complete")),
    )


# --- show and history ----------------------------------------------------------------------------------


@record.command(help=N_("One record with everything that is said of it. ID is its number or its file number."))
@click.argument("record_id", metavar="ID")
@json_option
@pass_invocation
def show(invocation: Invocation, record_id: str, as_json: bool) -> None:
    from dockd.cli.output import print_summary
    from dockd.cli.recordwords import label, value_words
    from dockd.register.records import places_of

    station = invocation.station()
    with station.register.read() as session:
        found = _find(session, record_id)
        places = places_of(session, found.footage_id)
    row = _row(found, station.now()) | {"locations": [asdict(place) for place in places]}
    lines = [(label(name), value_words(name, value)) for name, value in row.items() if name != "locations"]
    if len(places) > 1:
        lines += [(_("file in the store"), f"{p.station_no}: {p.location} ({p.state})") for p in places]
    print_summary(row, lines, as_json=as_json)


@record.command(help=N_("Who said what of a record, when, with the values before and after."))
@click.argument("record_id", metavar="ID")
@json_option
@pass_invocation
def history(invocation: Invocation, record_id: str, as_json: bool) -> None:
    from dockd.cli.output import print_listing
    from dockd.cli.recordwords import label, value_words, who, why_words
    from dockd.register.records import record_history

    with invocation.station().register.read() as session:
        found = _find(session, record_id)
        revisions = record_history(session, found.record_id)
    if as_json:
        rows: list[dict[str, Any]] = [
            {
                "record_id": found.record_id,
                "revision": r.number,
                "at": r.at,
                "actor": r.actor,
                "why": r.why,
                "changes": r.changes,
            }
            for r in revisions
        ]
    else:
        rows = [
            {
                "revision": r.number,
                "at": r.at,
                "actor": who(r.actor),
                "why": why_words(r.why),
                "item": label(item),
                "before": value_words(item, before),
                "after": value_words(item, after),
            }
            for r in revisions
            for item, (before, after) in r.changes.items()
        ]
    print_listing(rows, _history_columns(), as_json=as_json)


def _history_columns() -> tuple[tuple[str, str], ...]:
    return (
        ("revision", _("revision")),
        ("at", _("time")),
        ("actor", _("by")),
        ("why", _("why")),
        ("item", _("item")),
        ("before", _("before")),
        ("after", _("after")),
    )


def _find(session: Session, text: str) -> Record:
    """The record that a person named by its number or its file number. Raises UnknownNumber."""
    from dockd.register.records import find_record, find_record_by_number

    number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
    found = find_record(session, number) if number is not None else find_record_by_number(session, text)
    if found is None:
        raise UnknownNumber(noun=_("record"), number=text, command="dockd record list")
    return found


# --- rejudge ----------------------------------------------------------------------------------------------------


@record.command(help=N_("Conclude every recording anew, as after a change of titles, retention or tolerances."))
@json_option
@pass_invocation
def rejudge(invocation: Invocation, as_json: bool) -> None:
    from dockd.cli.output import print_summary
    from dockd.register.reviews import Concerned, ask_review
    from dockd.visit import rejudge as rejudging

    station = invocation.station()
    with station.register.write() as session:
        ask_review(
            session,
            [Concerned()],
            why="configuration",
            station_no=station.station_no,
            at=station.now(),
            actor=station.actor,
        )
    done = rejudging.rejudge(station)
    station.mirror_ledger()
    summary = {"records": done.records, "revised": list(done.revised)}
    lines = ((_("recordings"), done.records), (_("changed"), len(done.revised)))
    print_summary(summary, lines, as_json=as_json)


# --- tag ---------------------------------------------------------------------------------------------------


@record.command(help=N_("Say what records show. An empty value clears an item; every change is a revision."))
@click.argument("record_ids", metavar="[ID...]", nargs=-1)
@click.option("--visit", "visits", type=int, multiple=True, metavar="ID", help=N_("every recording of this visit"))
@click.option(
    "--session", "sessions", type=int, multiple=True, metavar="ID", help=N_("every recording of this session")
)
@click.option("--case", "case_no", metavar="NO", help=N_("the case; its cause, parties and place follow it"))
@click.option("--officer", "officers", multiple=True, metavar="CERT_NO", help=N_("an officer; repeat for several"))
@click.option("--title", metavar="TEXT", help=N_("名称: the record's title"))
@click.option("--party", metavar="TEXT", help=N_("案件当事人: the party; several joined by ；"))
@click.option("--cause", "case_cause", metavar="TEXT", help=N_("案由名称: the cause of action"))
@click.option("--place", metavar="TEXT", help=N_("记录地点: where it was recorded"))
@click.option("--matter", metavar="TEXT", help=N_("记录事项: what was recorded; an item of the bureau's list"))
@click.option("--act-type", metavar="WORD", help=N_("执法类别: penalty, licence, coercion, inspection, levy"))
@click.option("--stage", metavar="WORD", help=N_("执法环节: opening, investigation, decision, execution"))
@click.option("--step", metavar="WORD", help=N_("the step of the act (articles 8 and 10)"))
@click.option(
    "--class", "retention_by_hand", metavar="NAME", help=N_("保存类别: a retention class; the longest counts")
)
@click.option("--confidentiality", metavar="WORD", help=N_("密级: public, state_secret, trade_secret, privacy"))
@click.option("--evidence", "is_evidence", type=_YES_NO, help=N_("used as evidence"))
@click.option(
    "--party-notified", type=click.Choice(["yes", "no", "unknown"]), help=N_("the party was told (article 25)")
)
@click.option("--point", "points", multiple=True, metavar="WORD", help=N_("what of article 21's list was recorded"))
@click.option("--remark", metavar="TEXT", help=N_("备注: a remark"))
@json_option
@pass_invocation
def tag(
    invocation: Invocation,
    /,
    record_ids: tuple[str, ...],
    visits: tuple[int, ...],
    sessions: tuple[int, ...],
    as_json: bool,
    **options: Any,
) -> None:
    from dockd.cli.output import print_listing
    from dockd.visit.rejudge import rejudge

    said = _said(options, invocation.settings())
    if not said:
        raise click.UsageError(_("say what to tag: at least one option is needed"))
    if not (record_ids or visits or sessions):
        raise click.UsageError(_("say which records to tag: their numbers, --visit or --session"))
    station = invocation.station()
    tagged = _tag_all(station, record_ids, visits, sessions, said)
    _write_down(station, tagged)
    rejudge(station)
    station.mirror_ledger()
    lacking = _missing_notes(station, tagged)
    rows = [
        {
            "record_id": t.record_id,
            "file_no": t.file_no,
            "revision": t.revision,
            "changed": t.revision is not None,
            "missing_notes": lacking.get(t.record_id, []),
        }
        for t in tagged
    ]
    columns = (
        ("record_id", _("record")),
        ("file_no", _("file number")),
        ("changed", _("changed")),
        ("revision", _("revision")),
    )
    print_listing(rows, columns, as_json=as_json)
    _tell_missing_notes(lacking)


def _missing_notes(station: Station, tagged: list[Tagged]) -> dict[int, list[str]]:
    """Which of article 28's five notes the tagged recordings that are evidence still lack."""
    from dockd.law.filing import EVIDENCE_NOTES, missing_notes
    from dockd.register.records import find_record

    with station.register.read() as session:
        found = [one for t in tagged if (one := find_record(session, t.record_id)) and one.is_evidence]
    notes = {one.record_id: missing_notes({n: getattr(one, n) for n in EVIDENCE_NOTES}) for one in found}
    return {record_id: list(lacks) for record_id, lacks in notes.items() if lacks}


def _tell_missing_notes(lacking: Mapping[int, list[str]]) -> None:
    from dockd.cli.output import say
    from dockd.law.filing import EVIDENCE_NOTES
    from dockd.locale import language

    text = _("Record {record} is evidence and lacks for its disc (article 28): {notes}")
    for record_id, notes in lacking.items():
        words = _(", ").join(EVIDENCE_NOTES[name].text(language()) for name in notes)
        say(text.format(record=record_id, notes=words))


def _said(options: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The options that were given, as values of the record. Raises BadValue, NotACsv."""
    said: dict[str, Any] = {}
    for name, value in options.items():
        if value is not None and value != ():
            said |= _meaning(name, value, settings)
    return said


def _meaning(name: str, value: Any, settings: Settings) -> dict[str, Any]:
    """What one option says of a record, by its column."""
    from dockd.law.vocabulary import ACT_TYPES, CONFIDENTIALITY, POINTS, STAGES, STEPS
    from dockd.register.values import clean, words

    tables = {"act_type": ACT_TYPES, "stage": STAGES, "step": STEPS, "confidentiality": CONFIDENTIALITY}
    if name == "officers":
        return {name: tuple(cert_no for cert_no in map(clean, value) if cert_no)}
    if name == "points":
        found = (_code("point", one, POINTS) for one in value)
        return {name: tuple(dict.fromkeys(code for code in found if code))}
    if name == "is_evidence":
        return {name: value == "yes"}
    if name in tables:
        return {name: _code(name, value, tables[name])}
    if name == "matter" and settings.tags.matters and value.strip():
        return {name: _matter(settings.tags.matters, value)}
    if name == "retention_by_hand":
        return {name: _class(value, settings)}
    return {name: words(name, value, _LENGTHS.get(name, 64))}


def _matter(file: Path, word: str) -> str:
    from dockd.register.matters import find_matter, read_matters

    return find_matter(read_matters(file), word).matter


def _class(word: str, settings: Settings) -> str | None:
    """A class of the table, which without a table may have any name; nothing for nothing."""
    from dockd.nouns import UNCLASSIFIED
    from dockd.register.values import words

    name, known = words("retention_class", word, 64), settings.retention.classes
    if name is None or name == UNCLASSIFIED:
        return None
    by_title = [key for key, one in known.items() if name in (key, one.title)]
    if known and not by_title:
        raise BadValue(what="--class", value=name, expected=_(", ").join((*known, UNCLASSIFIED)))
    return by_title[0] if by_title else name


def _code(name: str, value: str, terms: Mapping[str, Term]) -> str | None:
    """The vocabulary's code for a code or wording in either language; nothing for nothing."""
    from dockd.law.vocabulary import term_of

    if not value.strip():
        return None
    if term := term_of(terms, value):
        return term.code
    expected = _(", ").join(f"{t.code} ({t.zh})" for t in terms.values())
    raise BadValue(what=f"--{name.replace('_', '-')}", value=value, expected=expected)


def _tag_all(
    station: Station,
    record_ids: tuple[str, ...],
    visits: tuple[int, ...],
    sessions: tuple[int, ...],
    said: Mapping[str, Any],
) -> list[Tagged]:
    """All of them in one transaction: a wrong number among many changes none."""
    from functools import partial

    from dockd.register.reviews import take_turn
    from dockd.register.tagging import tag_record
    from dockd.visit.following import follow

    def following(session: Session, record: Record, changes: Mapping[str, Any]) -> Following:
        return follow(session, station, record, changes)

    with station.register.write() as session:
        take_turn(session, station.station_no)
        numbers = dict.fromkeys(_find(session, text).record_id for text in record_ids)
        numbers |= dict.fromkeys(_recordings(session, "visit", visits) + _recordings(session, "session", sessions))
        tag = partial(tag_record, said=said, actor=station.actor, at=station.now(), follow=following)
        return [tag(session, number) for number in numbers]


def _recordings(session: Session, of: str, numbers: tuple[int, ...]) -> list[int]:
    """The recordings of visits or sessions. Raises UnknownNumber for one that has none."""
    from dockd.register.records import recordings_of

    found = {number: recordings_of(session, of, number) for number in numbers}
    for number, ids in found.items():
        if not ids:
            noun = _("visit") if of == "visit" else _("session")
            raise UnknownNumber(noun=noun, number=number, command="dockd record list")
    return [record_id for ids in found.values() for record_id in ids]


def _write_down(station: Station, tagged: list[Tagged]) -> None:
    """The present revisions' sidecars and the ledger's mirror: what the store says follows the register.

    Asked of the register and not of this call, so that a run after a failed one makes good for it.
    """
    from dockd.visit.sidecars import write_lacking

    write_lacking(station, [t.record_id for t in tagged])
    station.mirror_ledger()
