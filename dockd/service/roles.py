"""Who may do what on an installed station: a role is a group of the operating system, and a table says the rest.

=============== ==================== =================================================================
role            group                may
=============== ==================== =================================================================
clerk           ``dockd-clerk``      do the day's work: dock, issue, tag, import cases, answer alerts
custodian       ``dockd-custodian``  that, and keep the registers of recorders and officers (article 24)
admin           ``dockd-admin``      that, and look after the station itself
auditor         ``dockd-auditor``    read everything and change nothing
=============== ==================== =================================================================

Nobody needs to be a member of ``dockd``, the service's own group. Whoever is in ``dockd-auditor`` changes
nothing, whatever else he is in: who checks the work does none of it. root that nobody stands behind (no sudo) is
admin. A command that is not in the table is the admin's, so that a forgotten line opens no door.

A station is an installed one when its configuration says ``service.control: /run/dockd/control``: then every command
goes to the service through that socket (``client``), which anybody may connect to and which asks who it is. Nobody but
the service's user ``dockd`` needs to read the configuration (it may hold passwords), the register or the store.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from dockd.locale import N_


class Role(StrEnum):
    """What somebody is on this station."""

    CLERK = "clerk"
    CUSTODIAN = "custodian"
    ADMIN = "admin"
    AUDITOR = "auditor"

    @property
    def group(self) -> str:
        """The group whose members have the role."""
        return f"dockd-{self.value}"


WORDS = {
    Role.CLERK: N_("clerk"),
    Role.CUSTODIAN: N_("custodian"),
    Role.ADMIN: N_("administrator"),
    Role.AUDITOR: N_("auditor"),
}
"""The roles as people say them."""

READING = frozenset(Role)
DAILY = frozenset({Role.CLERK, Role.CUSTODIAN, Role.ADMIN})
KEEPING = frozenset({Role.CUSTODIAN, Role.ADMIN})
RUNNING = frozenset({Role.ADMIN})

# fmt: off
TABLE: Mapping[str, frozenset[Role]] = {
    name: roles
    for roles, names in (
        (READING, (
            "check", "status", "mounts", "identify", "stats",
            "recorder list", "recorder show", "recorder due", "recorder undocked", "officer list", "officer show",
            "case list", "case show", "case filing", "matter list", "exception list", "interruption list",
            "visit list", "visit show", "record list", "record show", "record history",
            "alert list", "alert outbox", "alert report",
            "inventory export FILE", "register export", "ledger verify", "ledger head",
        )),
        (DAILY, (
            "offload", "record tag", "case import", "case close", "case renumber", "case filed",
            "alert ack", "alert close", "exception add", "exception return",
            "interruption explain", "interruption dismiss", "inventory export", "verify",
            "recorder issue", "recorder return", "recorder inspect", "recorder fault", "recorder clock",
        )),
        (KEEPING, (
            "recorder add", "recorder import", "recorder change", "recorder repair", "recorder maintain",
            "recorder restore", "recorder retire", "officer add", "officer import", "record rejudge",
            "exception confirm",
        )),
        # "view build": it writes where its caller says, with the rights of the service
        (RUNNING, ("check --migrate", "rebuild", "view build", "alert send", "alert test")),
    )
    for name in names
}
# fmt: on
"""Every action with the roles that may do it. An action is a command, or what ``action_of`` makes of its options."""


def action_of(command: str, said: Mapping[str, Any]) -> str:
    """The action that ``command`` (``recorder issue``) is with these parameters: some change only with an option."""
    if command == "inventory export" and said.get("file"):
        return "inventory export FILE"
    if command == "check" and said.get("migrate"):
        return "check --migrate"
    return command


def may(roles: Collection[Role], action: str) -> bool:
    """Whether somebody who has ``roles`` may do ``action``."""
    if Role.AUDITOR in roles:
        return Role.AUDITOR in TABLE.get(action, RUNNING)
    return not TABLE.get(action, RUNNING).isdisjoint(roles)


def may_write(roles: Collection[Role], action: str) -> bool:
    """Whether the register may change by ``action``: never by what every role may do."""
    return may(roles, action) and TABLE.get(action, RUNNING) != READING
