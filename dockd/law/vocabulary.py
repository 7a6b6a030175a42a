"""The words of the regulation as fixed codes, each with its Chinese and English wording.

第二条 (2) 本办法所称行政执法，是指行政执法机关（包括法律、法规授权行使行政执法职权的组织，下同）依法履行行政处罚、
行政许可、行政强制、行政检查、行政征收征用等行政职责的行为。
(2) Administrative law enforcement here means acts by which agencies perform duties by law such as
administrative penalty, licensing, coercion, inspection, levy and requisition.
(3) 本办法所称行政执法全过程记录，是指行政执法机关采取文字记录、音像记录的方式，对执法程序启动、调查取证、审查决定、
送达执行等环节进行记录的活动。
(3) Whole-process recording means recording, in writing and by sound and picture, stages such as
opening of the procedure, investigation and evidence, review and decision, service and execution.

The steps are the items of articles 8 and 10 with the two services that article 19 names. Each class
of alert names the article it quotes and the items of article 33 (liability) that it bears on. A code
never changes its meaning; words may be improved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from dockd.nouns import MediaType, OwnerState


@dataclass(frozen=True, slots=True)
class Term:
    """One value of a vocabulary. ``article`` says where the regulation has the word (``8(2)`` is its item two)."""

    code: str
    zh: str
    en: str
    article: str = ""

    def text(self, language: str) -> str:
        """The wording in ``zh`` or, for any other language, in English."""
        return self.zh if language.startswith("zh") else self.en


def _table(terms: Iterable[Term]) -> Mapping[str, Term]:
    return MappingProxyType({t.code: t for t in terms})


ACT_TYPES = _table(
    (
        Term("penalty", "行政处罚", "administrative penalty", "2"),
        Term("licence", "行政许可", "administrative licensing", "2"),
        Term("coercion", "行政强制", "administrative coercion", "2"),
        Term("inspection", "行政检查", "administrative inspection", "2"),
        Term("levy", "行政征收征用", "administrative levy and requisition", "2"),
    )
)

STAGES = _table(
    (
        Term("opening", "执法程序启动", "opening of the procedure", "2"),
        Term("investigation", "调查取证", "investigation and evidence", "2"),
        Term("decision", "审查决定", "review and decision", "2"),
        Term("execution", "送达执行", "service and execution", "2"),
    )
)

STEPS = _table(
    (
        Term("identify", "出示证件", "officers show their certificates", "8(1)"),
        Term("questioning", "询问", "questioning", "8(2)"),
        Term("site_inspection", "现场检查（勘验）", "inspection or survey on site", "8(3)"),
        Term("evidence", "调取书证、物证以及其他证据", "obtaining documents, objects and other evidence", "8(4)"),
        Term("sampling", "抽样取证", "sampling", "8(5)"),
        Term("testing", "检验、检测、检疫、鉴定、评审", "testing, quarantine, appraisal, review", "8(6)"),
        Term("preservation", "证据保全", "preservation of evidence", "8(7)"),
        Term("coercive_measure", "实施行政强制措施", "coercive measure", "8(8)"),
        Term("notice_of_rights", "告知权利及陈述、申辩", "notice of rights, statement and defence", "8(9)"),
        Term("hearing", "听证、论证", "hearing, expert discussion", "8(10)"),
        Term("service", "送达", "service of documents", "10(1)"),
        Term("leaving_service", "留置送达", "service by leaving the document", "17, 19"),
        Term("public_notice", "公告送达", "service by public notice", "17, 19"),
        Term("performance", "当事人履行行政执法决定", "performance by the party", "10(2)"),
        Term("enforcement", "行政强制执行", "compulsory enforcement", "10(3)"),
        Term("disposal", "没收财物处理", "disposal of confiscated property", "10(4)"),
        Term("other", "其他", "other matters to be recorded", "8(11), 10(5)"),
    )
)

# What article 21 wants recorded above all: a check-list that an officer fills in.
POINTS = _table(
    (
        Term("scene", "现场执法环境以及行政执法人员检查、取证情况", "the scene, inspection and evidence", "21(1)"),
        Term("persons", "当事人、证人、第三人等现场有关人员的体貌特征和言行举止", "persons present", "21(2)"),
        Term("objects", "与行政执法相关的重要物品及其主要特征，以及其他证据", "objects and other evidence", "21(3)"),
        Term("measures", "对有关人员、财物采取行政强制措施的情况", "coercive measures taken", "21(4)"),
        Term("documents", "现场制作、送达行政执法文书的情况", "documents made and served on site", "21(5)"),
        Term("explanation", "向当事人及有关人员释法的情况", "the law explained to those concerned", "21(6)"),
        Term("other_points", "根据实际应当记录的其他内容", "other content as the case requires", "21(7)"),
    )
)

PARTY_NOTIFIED = _table(
    (
        Term("yes", "已告知", "told beforehand", "25"),
        Term("no", "未告知", "not told", "25"),
        Term("unknown", "不明", "not known", "25"),
    )
)

DEVICE_KINDS = _table(
    (
        Term("still_camera", "照相机", "still camera", "18"),
        Term("sound_recorder", "录音机", "sound recorder", "18"),
        Term("video_camera", "摄像机", "video camera", "18"),
        Term("body_camera", "执法记录仪", "body-worn recorder", "18"),
        Term("surveillance", "视频监控", "video surveillance", "18"),
    )
)

METHODS = _table(
    (
        Term(MediaType.VIDEO.value, "录像", "video recording", "28(2)"),
        Term(MediaType.AUDIO.value, "录音", "sound recording", "28(2)"),
        Term(MediaType.PHOTO.value, "照相", "photograph", "18"),
    )
)

EXCEPTION_REASONS = _table(
    (
        Term("continuous", "连续执法", "continuous enforcement", "23(2)"),
        Term("out_of_area", "异地执法", "enforcement outside the area", "23(2)"),
        Term("remote", "边远地区执法", "enforcement in a remote place", "23(2)"),
        Term("water", "水上执法", "enforcement on water", "23(2)"),
        Term("poor_transport", "交通不便地区执法", "enforcement where transport is poor", "23(2)"),
    )
)

INTERRUPTION_CAUSES = _table(
    (
        Term("equipment", "设备故障", "fault of the equipment", "22"),
        Term("weather", "天气恶劣", "bad weather", "22"),
        Term("obstruction", "人为阻挠", "obstruction by persons", "22"),
        Term("other", "其他客观原因", "other objective cause", "22"),
    )
)

INTERRUPTION_FORMS = _table(
    (
        Term("voice", "语音说明", "spoken on restart", "22"),
        Term("written", "书面说明", "set down in writing", "22"),
    )
)

INTERRUPTION_STATES = _table(
    (
        Term("open", "待处理", "open", "22"),
        Term("explained", "已说明", "explained", "22"),
        Term("dismissed", "不构成中断", "no interruption", "22"),
        Term("withdrawn", "已撤销", "withdrawn: later footage covers it", "22"),
    )
)

OWNER_STATES = _table(
    (
        Term(OwnerState.ASSIGNED.value, "已归属", "assigned", "27(1)"),
        Term(OwnerState.UNASSIGNED.value, "待归属", "unassigned", "27(1)"),
        Term(OwnerState.CONFLICT.value, "归属冲突", "conflict", "27(1)"),
    )
)

CONFIDENTIALITY = _table(
    (
        Term("public", "公开", "public"),
        Term("state_secret", "国家秘密", "state secret", "27(2)"),
        Term("trade_secret", "商业秘密", "trade secret", "27(2)"),
        Term("privacy", "个人隐私", "personal privacy", "27(2)"),
    )
)

RECORDER_ATTRIBUTES = _table(
    (
        Term("explosion_proof", "防爆", "explosion-proof", "31"),
        Term("night", "夜视", "night vision", "31"),
        Term("positioning", "定位", "positioning", "31"),
    )
)

EQUIPMENT_EVENTS = _table(
    (
        Term("kept", "存放", "stored", "24"),
        Term("issued", "领用", "issued", "24"),
        Term("returned", "归还", "returned", "24"),
        Term("maintained", "维护", "maintenance", "24"),
        Term("cared_for", "保养", "care", "24"),
        Term("checked", "检查", "check", "24"),
        Term("faulted", "故障", "fault", "26"),
        Term("sent", "送修", "sent to repair", "26"),
        Term("back", "返修", "back from repair", "26"),
        Term("restored", "恢复", "back in service", "26"),
        Term("retired", "报废", "retired", "24"),
    )
)

TAG_ITEMS = _table(
    (
        Term("title", "名称", "title", "27(1)"),
        Term("device_no", "记录设备编号", "number of the recording device", "27(1)"),
        Term("officer", "执法人员信息", "officer information", "27(1)"),
        Term("used_from", "使用开始时间", "time of use, start", "27(1)"),
        Term("used_to", "使用结束时间", "time of use, end", "27(1)"),
        Term("party", "案件当事人", "party to the case", "27(1)"),
        Term("case_cause", "案由名称", "cause of action", "27(1)"),
    )
)

JUDGEMENT_REASONS = _table(
    (
        Term("deadline_unknown", "储存时限无法确定", "the deadline cannot be determined", "23(1)"),
        Term("deadline_disputed", "时间依据不一致，是否超时存疑", "witnesses of the time disagree", "23(1)"),
        Term("station_clock", "采集站时钟存疑，是否超时待核实", "the station's own clock is in doubt", "23(1)"),
        Term("store_not_designated", "本存储不是指定的存储设备", "this store is not the designated one", "23(1)"),
        Term("not_stored", "尚未储存完毕", "not stored yet", "23(1)"),
        Term("exception_open", "例外事由缺少返回时间", "the exception has no time of return", "23(2)"),
        Term("exception_conflict", "例外事由自相矛盾", "the exception contradicts the facts", "23(2)"),
        Term("exception_unconfirmed", "例外事由待确认", "the exception is not confirmed", "23(2)"),
    )
)

LIABILITIES = MappingProxyType(
    {
        1: Term("no_system", "未建立健全行政执法全过程记录制度的", "no sound system of recording", "33(1)"),
        2: Term(
            "not_recorded",
            "未进行或者未按规定进行行政执法全过程记录的",
            "not recorded, or not as prescribed",
            "33(2)",
        ),
        3: Term(
            "not_filed",
            "未归档保存或者未按规定归档保存行政执法全过程记录资料的",
            "not filed and kept, or not as prescribed",
            "33(3)",
        ),
        4: Term(
            "destroyed",
            "擅自毁损、删除、修改文字记录和音像记录资料的",
            "records damaged, deleted or altered without authority",
            "33(4)",
        ),
        5: Term("leaked", "泄露音像记录信息的", "recordings disclosed", "33(5)"),
    }
)


def term_of(terms: Mapping[str, Term], word: str | None) -> Term | None:
    """The value of a vocabulary that ``word`` means: its code or its wording in either language."""
    said = (word or "").strip()
    return next((t for t in terms.values() if said in (t.code, t.zh, t.en)), None) if said else None


def term_words(terms: Mapping[str, Term], word: str | None) -> tuple[str, ...]:
    """Every wording under which a register may hold what ``word`` means; the word itself where it is nobody's."""
    term = term_of(terms, word)
    return (term.code, term.zh, term.en) if term else ((word,) if word else ())


def method_of(media: MediaType) -> Term | None:
    """方式 of article 28(2) for a recording; None for what is no recording."""
    return METHODS.get(media.value)


class Severity(StrEnum):
    """``CRITICAL``: evidence may be lost. ``WARNING``: a duty is missed or in doubt. ``NOTICE``: to be seen."""

    NOTICE = "notice"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class AlertClass:
    """What an alert is about: the article it quotes and the items of article 33 that it bears on."""

    code: str
    severity: Severity
    article: int
    paragraph: int | None
    liability: tuple[int, ...]
    zh: str
    en: str

    def text(self, language: str) -> str:
        """The short title in ``zh`` or, for any other language, in English."""
        return self.zh if language.startswith("zh") else self.en


_N, _W, _C = Severity.NOTICE, Severity.WARNING, Severity.CRITICAL

_ALERT_CLASSES = (
    AlertClass("due_soon", _N, 23, 1, (3,), "即将超过储存时限", "storing is due soon"),
    AlertClass("late_docked", _W, 23, 1, (3,), "接入超时", "docked after the deadline"),
    AlertClass("late_stored", _W, 23, 1, (3,), "按时接入，储存超时", "docked in time, stored after the deadline"),
    AlertClass("not_docked", _W, 23, 1, (3, 5), "逾期未接入", "overdue and not docked"),
    AlertClass("deadline_unknown", _W, 23, 1, (3,), "储存时限无法确定", "deadline unknown"),
    AlertClass("deadline_disputed", _W, 23, 1, (3,), "时间依据不一致，是否超时存疑", "lateness in doubt"),
    AlertClass("exception_open", _N, 23, 2, (3,), "例外事由缺少返回时间", "exception without time of return"),
    AlertClass("exception_conflict", _W, 23, 2, (3,), "例外事由自相矛盾", "exception contradicts the facts"),
    AlertClass("exception_unconfirmed", _N, 23, 2, (3,), "例外事由待确认", "exception not confirmed"),
    AlertClass("interruption", _W, 22, None, (2,), "全程记录有中断待说明", "gaps in a whole-course recording"),
    AlertClass("filing_due", _N, 28, 1, (3,), "即将超过归档期限", "filing is due soon"),
    AlertClass("filing_overdue", _W, 28, 1, (3,), "逾期未归档", "not filed in time"),
    AlertClass("identity_conflict", _W, 26, None, (2, 4), "设备身份不一致", "evidence of the recorder disagrees"),
    AlertClass("twin_identity", _C, 26, None, (2, 4), "两台设备身份相同", "two docked recorders claim one identity"),
    AlertClass("card_not_opened", _W, 23, 1, (3,), "存储卡无法打开", "a docked card cannot be opened"),
    AlertClass("unlock_failed", _W, 24, None, (2,), "设备未能解锁", "a docked recorder could not be unlocked"),
    AlertClass("unknown_recorder", _W, 24, None, (2,), "未登记设备", "recorder not registered"),
    AlertClass("media_in_unusual_place", _W, 29, None, (4,), "异常位置发现媒体文件", "media in an unusual place"),
    AlertClass("damaged_media", _W, 3, None, (2,), "媒体文件损坏", "damaged media"),
    AlertClass("not_examined", _N, 27, 1, (3,), "媒体信息未能读取", "media that could not be examined"),
    AlertClass("unreadable_file", _C, 3, None, (3, 4), "卡上文件无法读取", "a file on the card cannot be read"),
    AlertClass("clock_disagreement", _W, 27, 1, (2,), "时间依据不一致", "witnesses of the time disagree"),
    AlertClass("clock_unset", _W, 24, None, (2,), "设备时钟未设置", "the recorder's clock is not set"),
    AlertClass("unassigned", _N, 27, 1, (3,), "待归属", "no officer assigned"),
    AlertClass("untagged", _N, 27, 1, (3,), "逾期未著录", "not described in time"),
    AlertClass("owner_conflict", _W, 27, 1, (3,), "归属冲突", "evidence of the officer disagrees"),
    AlertClass("copy_differs", _C, 29, None, (3, 4), "储存副本与原件不一致", "the stored copy differs from the card"),
    AlertClass("store_full", _C, 23, 1, (3,), "存储空间不足", "the store is full"),
    AlertClass("store_trouble", _C, 23, 1, (3,), "存储无法写入，采集暂停", "the store takes no data, visits wait"),
    AlertClass("store_altered", _C, 29, None, (4,), "已储存文件缺失或被改动", "a stored file is missing or altered"),
    AlertClass("station_clock", _C, 23, 1, (3,), "采集站时钟异常", "the station's clock cannot be trusted"),
    AlertClass("removed_early", _W, 23, 1, (3,), "提前拔出，未完成", "removed early, incomplete"),
    AlertClass("not_answering", _W, 23, 1, (3,), "存储卡无响应，已放弃", "the card does not answer, visit given up"),
    AlertClass("not_a_file_on_card", _N, 3, None, (2,), "卡上有非普通文件", "something on the card is not a file"),
    AlertClass("battery_low", _W, 24, None, (2,), "电池电量不足", "the battery is low"),
    AlertClass("card_full", _W, 24, None, (2,), "存储卡剩余空间不足", "too little room on the card"),
    AlertClass("card_dirty", _N, 24, None, (2,), "存储卡未正常关闭", "the card was not closed properly"),
    AlertClass("card_errors", _W, 24, None, (2, 4), "存储卡多次出错", "errors of the card again and again"),
    AlertClass("card_slow", _W, 24, None, (2,), "存储卡读取速度下降", "the card reads slower than it used to"),
    AlertClass("locked_left", _N, 24, None, (2,), "存储卡上锁定文件过多", "many locked files left on the card"),
    AlertClass("check_due", _N, 24, None, (1,), "设备检查到期", "a check is due"),
    AlertClass("maintenance_due", _N, 24, None, (1,), "设备维护到期", "maintenance is due"),
    AlertClass("repair_overdue", _N, 26, None, (1,), "送修逾期未返", "not back from repair"),
    AlertClass("return_overdue", _W, 23, 1, (3, 5), "逾期未归还", "not returned when due"),
    AlertClass("recorder_fault", _W, 26, None, (2,), "设备故障，已停用", "a fault; out of service"),
    AlertClass("out_of_service_docked", _W, 26, None, (2,), "停用设备接入", "docked although out of service"),
    AlertClass("card_changed", _W, 26, None, (2, 4), "设备存储卡已更换或格式化", "the card was exchanged or formatted"),
    AlertClass("serial_changed", _W, 26, None, (2, 4), "设备序列号与登记不符", "not the registered serial number"),
    AlertClass("job_failed", _W, 24, None, (1,), "定时任务未完成", "a scheduled task failed"),
    AlertClass("config_refused", _W, 24, None, (1,), "配置有误，未采用", "a changed configuration was not taken"),
    AlertClass("import_refused", _W, 27, 1, (3,), "投递的表格有误", "a table in the drop folder holds mistakes"),
    AlertClass("undelivered", _C, 24, None, (1,), "告警未能送达", "alerts could not be delivered"),
)

ALERT_CLASSES: Mapping[str, AlertClass] = MappingProxyType({a.code: a for a in _ALERT_CLASSES})
