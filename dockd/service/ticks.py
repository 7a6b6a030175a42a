"""What the station does by itself, and when: one line each. Every act is a plain function of the station.

A tick knows nothing of the tick before: its act reads in the register (or on the disk) what is due. So a tick
that came late, twice or not at all, a restart and a clock that jumped do no harm, and a test calls the function with
a station whose clock it moves.

To add one: write ``f(station)`` in its room, and a line here. Acts of one round are done one after the other, in
this order, by one worker; an act that fails keeps none of the others from being done, and is alerted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from dockd.register.station import Station


class Round(StrEnum):
    """Acts that are done together. DELIVER, WATCH and EXPORTS come every so often, the others once a night."""

    DELIVER = "deliver"
    WATCH = "watch"
    EXPORTS = "exports"
    NIGHTLY = "nightly"
    FIXITY = "fixity"


@dataclass(frozen=True, slots=True)
class Tick:
    """``act`` is ``module:function``; the function takes the station and is loaded in the worker."""

    name: str
    round: Round
    act: str

    @property
    def module(self) -> str:
        return self.act.partition(":")[0]


TICKS: Sequence[Tick] = (
    Tick("deliver", Round.DELIVER, "dockd.alert.delivery:deliver_due"),
    Tick("rejudge", Round.WATCH, "dockd.visit.rejudge:rejudge"),
    Tick("deadlines", Round.WATCH, "dockd.visit.watch:watch_deadlines"),
    Tick("checks", Round.WATCH, "dockd.alert.upkeep:watch_checks"),
    Tick("untagged", Round.WATCH, "dockd.alert.untagged:watch_untagged"),
    Tick("escalate", Round.WATCH, "dockd.alert.escalation:escalate"),
    Tick("report", Round.WATCH, "dockd.alert.report:daily_report"),
    Tick("heartbeat", Round.WATCH, "dockd.service.heartbeat:beat"),
    Tick("mirror", Round.WATCH, "dockd.service.ticks:mirror"),
    Tick("exports", Round.EXPORTS, "dockd.export.standing:write_exports"),
    Tick("backup", Round.NIGHTLY, "dockd.register.backup:back_up"),
    Tick("quarantine", Round.NIGHTLY, "dockd.offload.remains:clear_quarantine"),
    Tick("fixity", Round.FIXITY, "dockd.service.ticks:renew_proof"),
)


def mirror(station: Station) -> None:
    """What people's commands added to the ledger is in the store, too."""
    station.mirror_ledger()


def renew_proof(station: Station) -> None:
    """The oldest proofs are renewed, for ``schedule.fixity_for`` at the most. What was found is alerted by itself."""
    from dockd.offload.audit import verify_due

    verify_due(station, until=station.now() + station.settings.schedule.fixity_for)
    station.mirror_ledger()
