"""The figures of article 30 as a CSV: one line for all, and for each unit, officer, recorder and month."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Literal
from zoneinfo import ZoneInfo

from dockd.export.cells import BOM, csv_lines, plain_cell
from dockd.law.statistics import Statistics

GROUPS = {"total": "合计", "unit": "单位", "officer": "执法人员", "recorder": "记录设备", "month": "月份"}
HEADERS = {
    "group": "分组",
    "key": "编号",
    "name": "名称",
    "files": "文件数",
    "hours": "时长小时",
    "bytes": "大小字节",
    "in_time": "按时储存",
    "late": "超时",
    "late_docked": "接入超时",
    "late_stored": "储存超时",
    "excused": "适用例外事由",
    "undecided": "未定",
    "late_rate": "超时率",
    "median_hours_to_storage": "储存用时中位数小时",
    "unassigned": "待归属",
    "incomplete": "著录不完整",
    "important": "重点标记",
    "gaps_open": "未处理中断",
    "gaps_closed": "已处理中断",
    "cases_with_footage": "有音像记录的案件",
    "cases_without_footage": "无音像记录的案件",
    "cases_past_30_days": "结案超过三十日未归档",
    "discs_due": "应制作光盘",
    "discs_made": "已制作光盘",
    "faults": "故障",
    "days_out_of_service": "停用天数",
    "battery_failures": "电量不足",
    "space_failures": "空间不足",
    "early_removals": "提前拔出",
    "verification_failures": "校验不一致",
    "deletions": "到期删除",
}
"""Every column with its Chinese word."""


def rows_of(found: Statistics, names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Each line's values by column; ``names`` are officers' names by certificate number."""
    yield {"group": "total", "key": "", "name": "", **asdict(found.total)}
    groups = {"unit": found.units, "officer": found.officers, "recorder": found.recorders, "month": found.months}
    for group, members in groups.items():
        for key, figures in members.items():
            name = names.get(key, "") if group == "officer" else ""
            yield {"group": group, "key": key, "name": name, **asdict(figures)}


def render_statistics(
    found: Statistics, names: Mapping[str, str], *, headers: Literal["en", "zh"], bom: bool, zone: ZoneInfo
) -> bytes:
    """The whole file. An empty key is what has no unit, officer, recorder or month."""
    chinese = headers == "zh"
    lines = [list(HEADERS.values() if chinese else HEADERS)]
    for row in rows_of(found, names):
        group = GROUPS[row["group"]] if chinese else row["group"]
        lines.append([plain_cell(value, zone) for value in ({**row, "group": group}[name] for name in HEADERS)])
    return (BOM if bom else b"") + csv_lines(lines)
