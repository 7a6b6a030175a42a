"""The registers of equipment, custody and interruptions as CSVs (articles 22, 23(2), 24 and 26).

Columns and their order are fixed; more may be added at the end. ``recorders`` can be imported again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, aliased

from dockd.export.cells import BOM, csv_lines, plain_cell
from dockd.law.faults import Act
from dockd.law.vocabulary import (
    EQUIPMENT_EVENTS,
    EXCEPTION_REASONS,
    INTERRUPTION_CAUSES,
    INTERRUPTION_FORMS,
    INTERRUPTION_STATES,
    Term,
)
from dockd.register.officers import officer_names
from dockd.register.session import Register
from dockd.register.tables import (
    CustodyRow,
    ExceptionRow,
    InterruptionRow,
    RecorderEventRow,
    RecorderIdentityRow,
    RecorderRow,
    RecorderState,
    RecordRow,
)

Said = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RegisterExport:
    """One register: its columns with their Chinese words, its rows in order, and the columns that hold codes."""

    columns: Mapping[str, str]
    rows: Callable[[Session], Iterable[Said]]
    words: Mapping[str, Mapping[str, Term]]


def render_register(
    register: Register, name: str, *, headers: Literal["en", "zh"], bom: bool, zone: ZoneInfo
) -> tuple[bytes, int]:
    """The whole file and the number of its rows. Raises KeyError for a register that there is not."""
    wanted = REGISTERS[name]
    chinese = headers == "zh"
    with register.read() as session:
        rows = [_worded(row, wanted.words) if chinese else row for row in wanted.rows(session)]
    lines = [list(wanted.columns.values() if chinese else wanted.columns)]
    lines += [[plain_cell(row.get(column), zone) for column in wanted.columns] for row in rows]
    return (BOM if bom else b"") + csv_lines(lines), len(rows)


def _worded(row: Said, words: Mapping[str, Mapping[str, Term]]) -> Said:
    """The row with the Chinese words of its codes; other wording as it is."""
    found = {name: terms[row[name]].zh for name, terms in words.items() if row.get(name) in terms}
    return {**row, **found}


def _table(*terms: Term) -> Mapping[str, Term]:
    return {term.code: term for term in terms}


# --- recorders --------------------------------------------------------------------------------------------

_STATES = _table(
    Term(RecorderState.IN_SERVICE.value, "在用", "in service"),
    Term(RecorderState.OUT_OF_SERVICE.value, "停用", "out of service"),
    Term(RecorderState.AT_REPAIR.value, "送修", "at repair"),
    Term(RecorderState.RETIRED.value, "报废", "retired"),
)
_RECORDERS = {
    "device_no": "记录设备编号",
    "device_serial": "设备序列号",
    "model": "型号",
    "profile": "卡配置",
    "unit": "单位",
    "custodian": "保管人",
    "device_kind": "设备种类",
    "owner_cert_no": "使用人执法证号",
    "attributes": "功能",
    "state": "状态",
    "created_at": "登记时间",
    "fs_uuid": "存储卡标识",
    "card_size": "存储卡容量字节",
}
_OF_CARDS = ("fs_uuid", "card_size")


def _recorders(session: Session) -> Iterator[Said]:
    """Each recorder with the card that it was seen with last."""
    cards = _newest_cards(session)
    for row in session.scalars(select(RecorderRow).order_by(RecorderRow.device_no)):
        said = {name: getattr(row, name) for name in _RECORDERS if name not in _OF_CARDS}
        yield said | cards.get(row.id, {})


def _newest_cards(session: Session) -> dict[int, dict[str, str]]:
    rows = session.scalars(
        select(RecorderIdentityRow)
        .where(RecorderIdentityRow.kind.in_(_OF_CARDS))
        .order_by(RecorderIdentityRow.last_seen_at, RecorderIdentityRow.id)
    )
    found: dict[int, dict[str, str]] = {}
    for row in rows:
        found.setdefault(row.recorder_id, {})[row.kind] = row.value
    return found


# --- issue and return --------------------------------------------------------------------------------------

_CUSTODY = {
    "custody_no": "领用编号",
    "device_no": "记录设备编号",
    "officer_name": "领用人",
    "officer_cert_no": "执法证号",
    "issued_at": "领用时间",
    "battery_out": "领用时电量",
    "free_out": "领用时剩余空间",
    "due_at": "预计归还时间",
    "back_at": "返回单位时间",
    "returned_at": "归还时间",
    "exception_reason": "例外事由",
    "confirmed_by": "确认人",
    "remark": "备注",
}


def _custody(session: Session) -> Iterator[Said]:
    """Each custody with the article 23(2) statement made for it, if there is one."""
    rows = session.execute(
        select(CustodyRow, RecorderRow.device_no)
        .join(RecorderRow, RecorderRow.id == CustodyRow.recorder_id)
        .order_by(CustodyRow.issued_at, CustodyRow.id)
    ).all()
    names = officer_names(session, {row.cert_no for row, _device_no in rows})
    for row, device_no in rows:
        excuse = _excuse(session, row)
        yield {
            "custody_no": row.id,
            "device_no": device_no,
            "officer_name": names.get(row.cert_no, ""),
            "officer_cert_no": row.cert_no,
            **{name: getattr(row, name) for name in ("issued_at", "battery_out", "free_out", "due_at", "returned_at")},
            "back_at": excuse.returned_at if excuse else None,
            "exception_reason": excuse.reason if excuse else None,
            "confirmed_by": excuse.confirmed_by if excuse else None,
            "remark": " ".join(text for text in (row.override_reason, row.note, *row.flags) if text),
        }


def _excuse(session: Session, row: CustodyRow) -> ExceptionRow | None:
    """The newest statement whose period has a moment in the custody, of its recorder or its officer."""
    query = select(ExceptionRow).where(
        or_(ExceptionRow.recorder_id == row.recorder_id, ExceptionRow.cert_no == row.cert_no),
        or_(ExceptionRow.recorder_id.is_(None), ExceptionRow.recorder_id == row.recorder_id),
        or_(ExceptionRow.cert_no.is_(None), ExceptionRow.cert_no == row.cert_no),
        ExceptionRow.to_at >= row.issued_at,
    )
    if row.returned_at is not None:
        query = query.where(ExceptionRow.from_at <= row.returned_at)
    return session.scalars(query.order_by(ExceptionRow.id.desc()).limit(1)).first()


# --- the equipment register --------------------------------------------------------------------------------

_SOURCES = _table(Term("read", "读取", "read"), Term("entered", "录入", "entered"), Term("unknown", "不明", "unknown"))
_EVENTS = {
    "event_no": "登记编号",
    "device_no": "记录设备编号",
    "event_type": "事件类型",
    "at": "发生时间",
    "battery_pct": "电池电量百分比",
    "battery_source": "电池读数来源",
    "card_size": "内存总量字节",
    "card_free": "内存剩余字节",
    "clock_offset_s": "时钟偏差秒",
    "fault": "故障描述",
    "result": "处理情况",
    "repairer": "维修单位",
    "sent_at": "送修日期",
    "back_at": "返回日期",
    "person": "经办人",
    "custodian": "保管人",
    "remark": "备注",
}


def _events(session: Session) -> Iterator[Said]:
    """Every act on every recorder in the order of time; handings-over stand among them."""
    found = sorted((*_acts(session), *_handings_over(session)), key=lambda row: (row["at"], row["event_no"]))
    yield from found


def _acts(session: Session) -> Iterator[Said]:
    same = ("at", "battery_pct", "battery_source", "card_size", "card_free", "clock_offset_s", "result", "repairer")
    rows = session.execute(
        select(RecorderEventRow, RecorderRow.device_no, RecorderRow.custodian).join(
            RecorderRow, RecorderRow.id == RecorderEventRow.recorder_id
        )
    )
    for row, device_no, custodian in rows:
        is_fault = row.kind == Act.FAULTED
        yield {
            "event_no": f"E{row.id}",
            "device_no": device_no,
            "event_type": {"return": "returned"}.get(row.kind, row.kind),
            **{name: getattr(row, name) for name in (*same, "sent_at", "back_at", "person")},
            "fault": row.told if is_fault else None,
            "custodian": custodian,
            "remark": None if is_fault else row.told,
        }


def _handings_over(session: Session) -> Iterator[Said]:
    rows = session.execute(
        select(CustodyRow, RecorderRow.device_no, RecorderRow.custodian).join(
            RecorderRow, RecorderRow.id == CustodyRow.recorder_id
        )
    )
    for row, device_no, custodian in rows:
        same = {"device_no": device_no, "custodian": custodian, "remark": row.cert_no}
        yield {
            **same,
            "event_no": f"C{row.id}-1",
            "event_type": "issued",
            "at": row.issued_at,
            "battery_pct": row.battery_out,
            "battery_source": row.battery_out_source,
            "card_free": row.free_out,
            "person": row.issued_by,
        }
        if row.returned_at:
            yield {
                **same,
                "event_no": f"C{row.id}-2",
                "event_type": "returned",
                "at": row.returned_at,
                "battery_pct": row.battery_in,
                "battery_source": row.battery_in_source,
                "person": row.returned_by,
            }


# --- interruptions -----------------------------------------------------------------------------------------

_INTERRUPTIONS = {
    "interruption_no": "中断编号",
    "device_no": "记录设备编号",
    "file_before": "前一文件",
    "file_after": "后一文件",
    "from_at": "中断开始",
    "to_at": "中断结束",
    "seconds": "间隔秒",
    "cause": "中断原因",
    "form": "说明方式",
    "position": "说明位置或文号",
    "signed_by_1": "签字人一",
    "signed_by_2": "签字人二",
    "state": "处理状态",
}


def _interruptions(session: Session) -> Iterator[Said]:
    before, after = aliased(RecordRow), aliased(RecordRow)
    rows = session.execute(
        select(InterruptionRow, RecorderRow.device_no, before.file_no, after.file_no)
        .outerjoin(RecorderRow, RecorderRow.id == InterruptionRow.recorder_id)
        .outerjoin(before, before.id == InterruptionRow.before_record_id)
        .outerjoin(after, after.id == InterruptionRow.after_record_id)
        .order_by(InterruptionRow.from_at, InterruptionRow.id)
    )
    for row, device_no, file_before, file_after in rows:
        signed = [*row.signed_by, None, None]
        yield {
            "interruption_no": row.id,
            "device_no": device_no,
            "file_before": file_before,
            "file_after": file_after,
            **{name: getattr(row, name) for name in ("from_at", "to_at", "cause", "form", "state")},
            "seconds": round((row.to_at - row.from_at) / timedelta(seconds=1)) if row.to_at else None,
            "position": row.position or row.doc_no,
            "signed_by_1": signed[0],
            "signed_by_2": signed[1],
        }


REGISTERS: Mapping[str, RegisterExport] = {
    "recorders": RegisterExport(_RECORDERS, _recorders, {"state": _STATES}),
    "custody": RegisterExport(_CUSTODY, _custody, {"exception_reason": EXCEPTION_REASONS}),
    "events": RegisterExport(_EVENTS, _events, {"event_type": EQUIPMENT_EVENTS, "battery_source": _SOURCES}),
    "interruptions": RegisterExport(
        _INTERRUPTIONS,
        _interruptions,
        {"cause": INTERRUPTION_CAUSES, "form": INTERRUPTION_FORMS, "state": INTERRUPTION_STATES},
    ),
}
