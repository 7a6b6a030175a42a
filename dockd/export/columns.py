"""The inventory's columns: their order, both header languages, types and meanings, said once.

The CSV, its data package and the README's data dictionary are made from this table. Names
and meanings are fixed; more columns may be added at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dockd.nouns import LateKind, MediaType, OwnerState


class Type(StrEnum):
    """What a cell holds, in the words of Table Schema."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``values`` closes its vocabulary; ``required`` columns are never empty."""

    name: str
    zh: str
    type: Type
    meaning: str
    source: str
    example: str
    required: bool = False
    unique: bool = False
    values: tuple[str, ...] = ()
    pattern: str | None = None


_S, _I, _N, _B, _T, _D = Type.STRING, Type.INTEGER, Type.NUMBER, Type.BOOLEAN, Type.DATETIME, Type.DATE
_REASONS = ("continuous", "out_of_area", "remote", "water", "poor_transport")

COLUMNS: tuple[Column, ...] = (
    Column("file_no", "文件编号", _S, "Number of the stored file; never given twice", "dockd, when the file is planned",
           "SJZ01-20260701-000012-00003", required=True, unique=True),
    Column("title", "名称", _S, "Name of the record (article 27), not of the file", "title template, or a person",
           "无证采矿-张某-20260701"),
    Column("original_name", "原始文件名", _S,
           "Name on the card; bytes that are not UTF-8 and control characters as \\xNN, a backslash doubled",
           "card", "YS00701_013607_20260701093012_0001.mp4", required=True),
    Column("media_type", "媒体类型", _S, "Kind of file", "card profile and signature", "video", required=True,
           values=tuple(m.value for m in MediaType)),
    Column("size_bytes", "大小字节", _I, "Length of the stored file in bytes", "measured while it was stored",
           "104857600", required=True),
    Column("duration_s", "时长秒", _N, "Length of the recording in seconds", "ffprobe's reading of the file", "61.440"),
    Column("device_no", "记录设备编号", _S, "The bureau's number of the recorder (article 27)",
           "identification of the card", "YS-07"),
    Column("device_serial", "设备序列号", _S, "The maker's serial number", "recorder register", "YS00701"),
    Column("officer_name", "执法人员姓名", _S, "Names of the officers, joined by ；", "officer register", "王强；李敏"),
    Column("officer_cert_no", "执法证号", _S,
           "Their enforcement certificates (article 8), in the same order, joined by ；",
           "custody, file name, or a person", "13012301；13012302"),
    Column("used_from", "使用开始时间", _T, "When the recording began (article 27)", "see time_basis",
           "2026-07-01T09:30:12+08:00"),
    Column("used_to", "使用结束时间", _T, "When the recording ended; the 24 hours run from here", "see time_basis",
           "2026-07-01T09:31:13+08:00"),
    Column("time_basis", "时间依据", _S, "The witnesses of the time of use that agree, best first, joined by +",
           "name, container, mtime", "name+container"),
    Column("party", "案件当事人", _S, "Parties of the case (article 27), joined by ；; masked where protected",
           "case, or a person", "张某；某矿业公司"),
    Column("case_cause", "案由名称", _S, "Cause of action (article 27)", "case, or a person", "无证采矿"),
    Column("case_no", "案件编号", _S, "Number of the case", "case system, or a person", "元自然资罚〔2026〕12号"),
    Column("act_type", "执法类别", _S, "Kind of act (article 2): code, with Chinese headers the Chinese word",
           "case, or a person", "penalty"),
    Column("stage", "执法环节", _S, "Stage of the act (article 2): code, with Chinese headers the Chinese word",
           "case, or a person", "investigation"),
    Column("matter", "记录事项", _S, "Matter that was recorded (articles 20, 28)", "case, or a person", "现场勘验"),
    Column("place", "记录地点", _S, "Place of recording (article 28); masked where protected", "case, or a person",
           "南佐镇某采石场"),
    Column("method", "记录方式", _S, "Manner of recording (article 28), in the language of the headers",
           "media type", "video recording"),
    Column("important_mark", "重点标记", _B, "Marked important on the recorder", "file name", "false", required=True),
    Column("confidentiality", "密级", _S, "Protection (article 27(2)): code, with Chinese headers the Chinese word",
           "case, or a person", "privacy"),
    Column("retention_class", "保存类别", _S, "Retention class in force (article 27(3)); unclassified never expires",
           "rules of the configuration, a person; the longest counts", "unclassified", required=True),
    Column("retain_until", "保存期限至", _D, "Last day of retention; empty: no end", "retention class", ""),
    Column("docked_at", "接入时间", _T, "When these bytes were first seen in a dock", "visit",
           "2026-07-01T17:58:40+08:00", required=True),
    Column("stored_at", "储存时间", _T, "When the stored file was proven by reading it back", "visit",
           "2026-07-01T17:59:02+08:00", required=True),
    Column("deadline_at", "储存时限", _T, "Until when it had to be stored (article 23)", "judgement",
           "2026-07-02T09:31:13+08:00"),
    Column("late", "是否超时", _B, "Stored after the deadline in force; empty: unknown or pending",
           "judgement", "false"),
    Column("exception_reason", "例外事由", _S, "Reason of the article 23(2) exception that counts",
           "exception register", "remote", values=_REASONS),
    Column("station_no", "采集站编号", _S, "Number of the station", "configuration", "SJZ01", required=True),
    Column("bay", "采集口", _S, "Socket of the dock", "visit", "3"),
    Column("digest_algo", "校验算法", _S, "Algorithm of the digest", "always sha256", "sha256", required=True,
           values=("sha256",)),
    Column("digest", "校验值", _S, "Digest of the stored file in hex", "computed while it was read from the card",
           "9f86d081884c7d65…", required=True, pattern="[0-9a-f]{64}"),
    Column("verified_at", "校验时间", _T, "When the stored bytes were last read back and found equal",
           "storing, dockd verify", "2026-07-01T17:59:02+08:00"),
    Column("location", "存储位置", _S, "Path of the stored file, relative to the store's root", "store",
           "footage/2026/07/01/YS-07/SJZ01-20260701-000012-00003.mp4"),
    Column("owner_state", "归属状态", _S, "Whether the officers are known, unknown or contradictory", "attribution",
           "assigned", required=True, values=tuple(o.value for o in OwnerState)),
    Column("tags_complete", "著录完整", _B, "All six article 27 items are present and nothing is contradictory",
           "article 27 rule", "true", required=True),
    Column("is_evidence", "作为证据", _B, "Used as evidence (article 28(2))", "a person", "false", required=True),
    Column("disc_no", "光盘编号", _S, "Number of the evidence disc", "archive", ""),
    Column("archived_on", "归档日期", _D, "Day of filing (article 28)", "archive", ""),
    Column("remark", "备注", _S, "Remark; masked where protected", "dockd, or a person", ""),
    Column("late_kind", "超时类别", _S,
           "docked: the officer's side was late; stored: docked in time, the station was late",
           "judgement", "", values=tuple(k.value for k in LateKind)),
    Column("device_kind", "设备种类", _S, "Kind of recording device (article 18)", "recorder register", "执法记录仪"),
    Column("unit", "单位", _S, "Unit of the recorder", "recorder register", "执法大队"),
)  # fmt: skip

BY_NAME = {column.name: column for column in COLUMNS}


def chosen(names: tuple[str, ...] | None) -> tuple[Column, ...]:
    """The columns with these names in their order; all where none are named. Raises KeyError for an unknown one."""
    return tuple(BY_NAME[name] for name in names) if names else COLUMNS
