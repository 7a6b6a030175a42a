"""A recorder's history as one page: what it was known by, its equipment register, and its ledger lines in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from dockd.locale import N_, _, language, word_of

if TYPE_CHECKING:
    from dockd.register.biography import Happening
    from dockd.register.equipment import EquipmentEvent
    from dockd.register.recorders import Identity


def print_page(known_by: Sequence[Identity], events: Sequence[EquipmentEvent], history: Sequence[Happening]) -> None:
    """The rest of ``recorder show``, below the recorder itself and its custody."""
    _print_identities(known_by)
    _print_events(events)
    _print_history(history)


def _print_identities(known_by: Sequence[Identity]) -> None:
    from dockd.cli.output import print_listing

    if not known_by:
        return
    click.echo()
    kinds = {"fs_uuid": _("card"), "label": _("label"), "usb_serial": _("USB serial"), "card_size": _("card size")}
    columns = (
        ("kind", _("known by")),
        ("value", ""),
        ("first_seen_at", _("first seen")),
        ("last_seen_at", _("last seen")),
        ("trusted", _("registered by a person")),
    )
    rows = [asdict(one) | {"kind": kinds.get(one.kind, one.kind)} for one in known_by]
    print_listing(rows, columns, as_json=False)


def _print_events(events: Sequence[EquipmentEvent]) -> None:
    from dockd.cli.output import print_listing
    from dockd.law.vocabulary import EQUIPMENT_EVENTS

    if not events:
        return
    click.echo()
    columns = (
        ("at", _("time")),
        ("kind", _("entered")),
        ("person", _("by")),
        ("battery_pct", _("battery")),
        ("card_free", _("room left")),
        ("said", _("text")),
        ("findings", _("found")),
    )
    rows = [
        asdict(one)
        | {
            "kind": EQUIPMENT_EVENTS[one.kind].text(language()),
            "said": one.result or one.told or one.repairer,
            "findings": _findings(one.facts),
        }
        for one in events
    ]
    print_listing(rows, columns, as_json=False)


def _findings(facts: Mapping[str, Any]) -> list[str]:
    from dockd.law.vocabulary import ALERT_CLASSES

    return [ALERT_CLASSES[code].text(language()) for code in facts.get("findings", ()) if code in ALERT_CLASSES]


def _print_history(history: Sequence[Happening]) -> None:
    from dockd.cli.output import print_listing

    click.echo()
    columns = (("at", _("time")), ("kind", _("what happened")), ("about", ""), ("actor", _("by")))
    rows = [
        {"at": line.at, "kind": happening_words(line.kind), "about": _about(line), "actor": line.actor}
        for line in history
    ]
    print_listing(rows, columns, as_json=False)


_WORDS = {
    "recorder.added": N_("registered"),
    "recorder.changed": N_("changed"),
    "recorder.identity_trusted": N_("identity confirmed"),
    "custody.issued": N_("issued"),
    "custody.returned": N_("returned"),
    "visit.opened": N_("docked"),
    "visit.found": N_("docked"),
    "visit.ended": N_("visit ended"),
    "alert.opened": N_("alert"),
    "alert.escalated": N_("alert escalated"),
    "alert.repeated": N_("alert repeated"),
    "alert.acknowledged": N_("alert acknowledged"),
    "alert.closed": N_("alert closed"),
}


def happening_words(kind: str) -> str:
    """A kind of ledger line in words; one that nobody knows is shown as it is."""
    from dockd.law.vocabulary import EQUIPMENT_EVENTS

    noun, _dot, act = kind.partition(".")
    if noun == "recorder" and act in EQUIPMENT_EVENTS:
        return EQUIPMENT_EVENTS[act].text(language())
    return word_of(kind, _WORDS)


def _about(line: Happening) -> str:
    """The number or the words that the line is about."""
    from dockd.law.vocabulary import ALERT_CLASSES

    data = line.data
    if line.kind == "alert.opened" and data.get("kind") in ALERT_CLASSES:
        return f"{line.subject.partition(':')[2]} {ALERT_CLASSES[data['kind']].text(language())}"
    if line.kind.startswith(("visit.", "alert.")):
        return " ".join(str(part) for part in (line.subject.partition(":")[2], data.get("outcome")) if part)
    if line.kind.startswith("custody."):
        return str(data.get("cert_no") or "")
    return str(data.get("told") or data.get("result") or data.get("repairer") or "")
