"""``dockd check`` on alerts: whether what the routes name exists, who can read the secrets, what is not delivered."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dockd.cli.verdict import Check, Verdict
from dockd.locale import _

if TYPE_CHECKING:
    from dockd.register.station import Station
    from dockd.settings import Settings


def check_routes(settings: Settings) -> Check:
    """Classes of alerts that no alert has are a slip of the pen: what they were meant for reaches nobody."""
    from dockd.law.vocabulary import ALERT_CLASSES

    unknown = sorted({kind for route in settings.alerts.routes for kind in route.kinds if kind not in ALERT_CLASSES})
    if unknown:
        message = _("alerts.routes: there is no class of alerts {kinds}").format(kinds=", ".join(unknown))
        return Check("alert_routes", Verdict.WARN, message, _("Known: {kinds}").format(kinds=", ".join(ALERT_CLASSES)))
    names = ", ".join(channel.name for channel in settings.alerts.channels) or _("nobody")
    return Check("alert_routes", Verdict.OK, _("alerts go to {names}").format(names=names))


def check_secrets(settings: Settings) -> Iterator[Check]:
    """Addresses and keys of channels are passwords."""
    if not any(channel.url or channel.secret for channel in settings.alerts.channels):
        return
    try:
        open_to_all = os.stat(settings.file).st_mode & (stat.S_IROTH | stat.S_IWOTH)
    except OSError:
        return
    if open_to_all:
        message = _("{file} holds addresses and keys of channels and can be read by everybody").format(
            file=settings.file
        )
        yield Check("alert_secrets", Verdict.WARN, message, f"chmod o-rwx {settings.file}")


def check_channels(station: Station) -> Iterator[Check]:
    """What is not delivered is said here, too."""
    from dockd.cli.output import cell_text
    from dockd.register.outbox import channel_states, list_messages

    with station.register.read() as session:
        states = channel_states(session, station.station_no)
        given_up = [m for m in list_messages(session, station.station_no) if m.state == "failed"]
    for state in states:
        if state.failing_since:
            message = _("channel {channel} has delivered nothing since {since}: {error}").format(
                channel=state.channel, since=cell_text(state.failing_since), error=state.last_error
            )
            hint = _("Try it: dockd alert test {channel}").format(channel=state.channel)
            yield Check("alert_channel", Verdict.WARN, message, hint)
    if given_up:
        message = _("{count} messages could not be delivered").format(count=len(given_up))
        yield Check("alert_outbox", Verdict.WARN, message, _("See: dockd alert outbox"))
