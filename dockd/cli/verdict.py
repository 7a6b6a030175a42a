"""One line of ``dockd check``, and how grave all of them are together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from dockd.errors import DockdError, Exit
from dockd.locale import _

# Worst first: what was stored may be wrong, nothing can be stored, the rest.
GRAVITY = (Exit.PROOF_FAILED, Exit.CANNOT_STORE, Exit.CONFIG)


class Verdict(StrEnum):
    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of ``dockd check``. ``check`` is a stable name, message and hint are in the person's language."""

    check: str
    result: Verdict
    message: str
    hint: str = ""
    exit_code: Exit = Exit.DONE


def exit_code(checks: Sequence[Check]) -> Exit:
    """The code of the worst failure, or DONE."""
    codes = {check.exit_code for check in checks if check.result is Verdict.FAIL}
    return next((code for code in (*GRAVITY, *sorted(codes)) if code in codes), Exit.DONE)


def failed(name: str, error: DockdError) -> Check:
    """A failure as a check's line."""
    return Check(name, Verdict.FAIL, error.render(_), error.render_hint(_), error.exit_code)
