"""The part that the others stand on: register and store are there, belong together, and hold nothing unfinished.

What may pass by itself (a disk that is not mounted yet, a database that starts later) is waited for and
said; what no waiting cures (a corrupt register, another station's store) ends the service with its own code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import structlog

from dockd.errors import (
    DockdError,
    RegisterFailing,
    RegisterFull,
    RegisterLocked,
    RegisterReadOnly,
    RegisterUnreachable,
    StoreFailing,
    StoreFull,
    StoreMissing,
    StoreReadOnly,
    WorkerDied,
)
from dockd.locale import _
from dockd.offload.promises import Promises
from dockd.service.crew import Ended, Work
from dockd.service.errands import Opening, Recovering
from dockd.service.parts import Part, Surroundings

WAITED_FOR = (
    StoreFull,
    StoreReadOnly,
    StoreFailing,
    StoreMissing,
    RegisterLocked,
    RegisterUnreachable,
    RegisterFull,
    RegisterReadOnly,
    RegisterFailing,
    WorkerDied,
)
_AGAIN_S = 5.0

_log = structlog.get_logger()


class Foundation(Part):
    """``on_stand`` is called once, when register and store stand."""

    name: ClassVar[str] = "station"

    def __init__(self, on_stand: Callable[[], None]) -> None:
        self._on_stand = on_stand
        self._around: Surroundings | None = None
        self._stands = False
        self._trouble: DockdError | None = None
        self._ending = False

    def start(self, around: Surroundings) -> None:
        self._around = around
        self._do(Opening(around.settings), self._stand)

    def stop(self) -> None:
        self._ending = True

    def ready(self) -> bool:
        return self._stands

    def status(self) -> str:
        if self._trouble is None:
            return ""
        return _("waiting: {reason}").format(reason=self._trouble.render(_))

    def _do(self, work: Work, then: Callable[[Any], None]) -> None:
        assert self._around is not None
        self._around.crew.hire(work, on_end=lambda ended: self._on_end(work, then, ended))

    def _on_end(self, work: Work, then: Callable[[Any], None], ended: Ended) -> None:
        assert self._around is not None
        error = ended.error
        if self._ending:
            return
        if error is None:
            self._trouble = None
            then(ended.value)
        elif isinstance(error, WAITED_FOR):
            _log.warning("station_waits", error=error.name)
            self._trouble = error
            self._around.loop.after(_AGAIN_S, lambda: self._do(work, then))
        else:
            raise error

    def _stand(self, mount: Promises) -> None:
        assert self._around is not None
        if not mount.past_cache:
            _log.warning("store_proof_weaker", reason="the store cannot be read past the cache")
        self._stands = True
        self._do(Recovering(self._around.settings), lambda count: _log.info("visits_recovered", count=count))
        self._on_stand()
