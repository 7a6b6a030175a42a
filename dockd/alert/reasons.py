"""Why a file of a card has its outcome and a recorder its name, in words: on a visit's screen and in its alert."""

from __future__ import annotations

from dockd.locale import N_, _, word_of

_RUNGS = {
    "explicit": N_("named by a person"),
    "driver": N_("the recorder's own word"),
    "binding_file": N_("a file on the card"),
    "usb_serial": N_("USB serial number"),
    "volume": N_("the card's volume"),
    "file_names": N_("file names"),
    "none": N_("nothing"),
}


def rung_words(rung: str) -> str:
    """The rung of the ladder by which a recorder was identified; an unknown one is shown as it is."""
    return word_of(rung, _RUNGS)


def clue_words(evidence: str) -> str:
    """What speaks for some recorder, ``rung: token, …``, with the rungs in words."""
    said = (one.partition(": ") for one in evidence.split(", "))
    return _(", ").join(f"{rung_words(rung)}{_(': ')}{token}" if sep else rung for rung, sep, token in said)


def reason_words(reason: str | None) -> str:
    """Why a file has its outcome, in words; an unknown code is shown as it is."""
    code, _sep, detail = (reason or "").partition(":")
    words = {
        "": "",
        "known": _("seen before on this card"),
        "same_bytes": _("read; the same bytes are stored"),
        "important_mark": _("marked copy of a stored recording"),
        "other_station": _("another station of the register has stored it, too"),
        "stored_again": _("was missing from the store"),
        "system_index": _("index file of an operating system"),
        "not_a_file": _("not a file: {detail}").format(detail=detail),
        "cannot_list": _("cannot be listed: {detail}").format(detail=detail),
        "unreadable_at": _("cannot be read at byte {detail}").format(detail=detail),
        "changed_while_read": _("changed while it was read"),
        "card_gone": _("the card was removed"),
        "card_file_replaced": _("is no longer the listed file"),
        "source_unsteady": _("the card gave other bytes on the second read"),
        "copy_differs": _("the store gave back other bytes, twice"),
        "interrupted": _("interrupted"),
        "stored_damaged": _("parts of it cannot be read"),
    }
    return words.get(code, reason or "")
