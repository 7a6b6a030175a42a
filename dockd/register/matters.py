"""音像记录事项清单 (article 20): the bureau's list of matters to be recorded, as the CSV that it keeps.

行政执法机关应当根据本机关的执法职责、执法程序、执法类别，编制音像记录事项清单和执法行为用语指引，明确音像记录的内容、
标准和程序，对音像记录进行规范。
The agency shall, by its duties, procedures and kinds of enforcement, draw up a list of matters to be recorded
and a guide of wording, and so fix content, standard and procedure of recording.

The list stays the bureau's: it is read where the configuration says, whenever it is needed.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dockd.errors import BadValue, NotACsv
from dockd.law.vocabulary import ACT_TYPES, STAGES, STEPS, term_of
from dockd.locale import _
from dockd.register.csvfile import Column, Line, read_sheet
from dockd.register.values import shown

COLUMNS = (
    Column("item_no", "序号"),
    Column("matter", "记录事项", required=True),
    Column("act_type", "执法类别"),
    Column("stage", "执法环节"),
    Column("step", "执法步骤"),
    Column("content", "记录内容"),
    Column("occasion", "记录场合"),
    Column("time_limit", "记录时限"),
    Column("department", "责任部门"),
    Column("method", "记录方式"),
    Column("remark", "备注"),
)
_TERMS = {"act_type": ACT_TYPES, "stage": STAGES, "step": STEPS}


@dataclass(frozen=True, slots=True)
class Matter:
    """One item of the list. Kind of act, stage and step are codes where the bureau's wording is the regulation's."""

    matter: str
    item_no: str | None = None
    act_type: str | None = None
    stage: str | None = None
    step: str | None = None
    content: str | None = None
    occasion: str | None = None
    time_limit: str | None = None
    department: str | None = None
    method: str | None = None
    remark: str | None = None


def read_matters(path: Path) -> tuple[Matter, ...]:
    """The list in its own order. Raises NotACsv, also where a line of it is none: half a list misleads."""
    sheet = read_sheet(path, COLUMNS)
    bad = [line.line_no for line in sheet.bad] + [line.number for line in sheet.lines if "matter" not in line.cells]
    if bad:
        reason = _("line {line} is no item of the list").format(line=min(bad))
        raise NotACsv(
            file=shown(path.name), reason=reason, headers=", ".join(f"{c.name} ({c.chinese})" for c in COLUMNS)
        )
    return tuple(_matter(line) for line in sheet.lines)


def _matter(line: Line) -> Matter:
    said: dict[str, Any] = {field.name: line.cells.get(field.name) for field in fields(Matter)}
    for name, terms in _TERMS.items():
        term = term_of(terms, said[name])
        said[name] = term.code if term else said[name]
    return Matter(**said)


def find_matter(matters: Sequence[Matter], word: str) -> Matter:
    """The item that ``word`` names by its number or its wording.

    Raises BadValue with the nearest ones, also for a number or wording that several items have.
    """
    said = word.strip()
    found = [one for one in matters if said in (one.matter, one.item_no)]
    if len({one.matter for one in found}) == 1 and found:
        return found[0]
    near = difflib.get_close_matches(said, [one.matter for one in matters], n=3, cutoff=0.3)
    expected = _("an item of the bureau's list (dockd matter list), such as {matters}")
    named = _(", ").join(near or [one.matter for one in matters[:3]])
    raise BadValue(what="--matter", value=shown(word), expected=expected.format(matters=named))
