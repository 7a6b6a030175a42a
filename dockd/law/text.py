"""The regulation's own sentences, verbatim, each with a working English rendering that is not official.

Source: 元氏县自然资源和规划局行政执法全过程记录办法. The line breaks of the printed text are joined,
nothing else is changed. Alerts and documents quote from here, so that the wording has one place.
"""

from __future__ import annotations

from dataclasses import dataclass

REGULATION_ZH = "元氏县自然资源和规划局行政执法全过程记录办法"
REGULATION_EN = (
    "Measures for recording the whole process of administrative law enforcement, "
    "Natural Resources and Planning Bureau of Yuanshi County"
)

_DIGITS = "零一二三四五六七八九"


@dataclass(frozen=True, slots=True)
class ArticleText:
    """One paragraph (款) of an article, or a whole article where ``paragraph`` is None."""

    article: int
    paragraph: int | None
    zh: str
    en: str

    @property
    def cite_zh(self) -> str:
        """``第二十三条第一款``"""
        clause = f"第{_numeral(self.paragraph)}款" if self.paragraph is not None else ""
        return f"第{_numeral(self.article)}条{clause}"

    @property
    def cite_en(self) -> str:
        """``article 23(1)``"""
        clause = f"({self.paragraph})" if self.paragraph is not None else ""
        return f"article {self.article}{clause}"


def quote(article: int, paragraph: int | None = None) -> ArticleText:
    """The words of an article, or of one of its paragraphs (counted from 1).

    Without ``paragraph`` all paragraphs of the article follow each other, one per line.
    Raises ``KeyError`` for an article or paragraph that is not kept here.
    """
    kept = _ARTICLES[article]
    if paragraph is None:
        zh, en = ("\n".join(texts) for texts in zip(*kept, strict=True))
        return ArticleText(article, None, zh, en)
    if not 1 <= paragraph <= len(kept):
        raise KeyError((article, paragraph))
    return ArticleText(article, paragraph, *kept[paragraph - 1])


def _numeral(number: int) -> str:
    """A number below one hundred as the regulation writes it: 3 → 三, 20 → 二十, 23 → 二十三."""
    tens, ones = divmod(number, 10)
    if not tens:
        return _DIGITS[ones]
    return (_DIGITS[tens] if tens > 1 else "") + "十" + (_DIGITS[ones] if ones else "")


_ARTICLES: dict[int, tuple[tuple[str, str], ...]] = {
    3: (
        (
            "行政执法全过程记录应当遵循合法、公正、客观、全面的原则。",
            "Recording the whole process of administrative law enforcement shall be lawful, fair, objective and "
            "complete.",
        ),
    ),
    22: (
        (
            "行政执法人员在进行音像记录过程中，因设备故障、天气恶劣、人为阻挠等客观原因中断记录的，"
            "重新开始记录时应当对中断原因进行语音说明；确实无法继续记录的，应当在现场执法结束后书面说明情况，"
            "并由两名以上执法人员签字。",
            "Where an officer's audio-visual recording is interrupted for an objective cause such as a fault of the "
            "equipment, bad weather or obstruction by persons, the cause shall be spoken aloud when recording starts "
            "again; where recording truly cannot go on, the circumstances shall be set down in writing after the "
            "enforcement on site has ended and be signed by two or more officers.",
        ),
    ),
    23: (
        (
            "音像记录完成后，行政执法人员应当在二十四小时内将音像记录信息储存至所在机关的行政执法信息系统或者指定的存储设备，"
            "不得私自保管或者擅自交给他人保管，不得泄露音像记录信息。",
            "Within twenty-four hours of completing an audio-visual recording, the officer shall store it in the "
            "administrative enforcement information system of his agency or in the designated storage device; he shall "
            "not keep it privately or hand it to others to keep without leave, and shall not disclose it.",
        ),
        (
            "因连续执法、异地执法或者在边远、水上、交通不便地区执法，确实无法及时储存音像记录信息的，"
            "行政执法人员应当在返回所在机关后二十四小时内予以储存。",
            "Where, because of continuous enforcement, enforcement outside the area, or enforcement in remote places, "
            "on water or where transport is poor, the recording truly cannot be stored in time, the officer shall "
            "store it within twenty-four hours of returning to his agency.",
        ),
    ),
    24: (
        (
            "行政执法机关应当加强音像记录设备的管理，明确专门人员负责音像记录设备的存放、维护、保养、登记。"
            "在进行音像记录时，应当及时检查记录设备的电池容量、内存空间，保证记录设备正常使用。",
            "The agency shall strengthen the management of audio-visual recording equipment and name staff who are "
            "responsible for its storage, maintenance, care and registration. When recording, the battery capacity and "
            "memory space of the equipment shall be checked in time, so that it works as it should.",
        ),
    ),
    25: (
        (
            "行政执法人员在实施处罚或者采取强制措施、询问当事人时，应当事先告知对方使用音像记录设备记录。",
            "When imposing a penalty, taking a coercive measure or questioning a party, the officer shall tell the "
            "other side beforehand that audio-visual equipment is being used to record.",
        ),
    ),
    26: (
        (
            "行政执法人员应当严格按照规程操作音像记录设备，遇到故障应立即停止使用并及时报告，联系专业部门进行维修，"
            "不得私自将设备进行拆装和更换处理。",
            "Officers shall operate audio-visual recording equipment strictly by its rules; on a fault they shall stop "
            "using it at once, report it in time and have it repaired by professionals, and shall not privately "
            "dismantle the equipment or exchange it or its parts.",
        ),
    ),
    27: (
        (
            "行政执法机关应当加强行政执法全过程记录资料的管理，明确专门人员负责行政执法全过程记录资料的归档保存、使用管理，"
            "并按照名称、记录设备编号、执法人员信息、使用时间、案件当事人和案由名称等项目分类存储。",
            "The agency shall strengthen the management of whole-process records, name staff who are responsible for "
            "their filing, keeping and use, and store them classified by items such as title, number of the recording "
            "device, officer information, time of use, party to the case and cause of action.",
        ),
        (
            "行政执法全过程记录资料涉及国家秘密、商业秘密和个人隐私的，行政执法机关应当按照有关法律、法规、规章的规定进行管理。",
            "Where whole-process records touch state secrets, trade secrets or personal privacy, the agency shall "
            "manage them as the relevant laws, regulations and rules provide.",
        ),
        (
            "行政执法机关应当根据本机关行政执法的风险情况，合理确定各类音像记录资料的保存期限和保存方式。",
            "The agency shall reasonably determine the retention period and the way of keeping of each class of "
            "audio-visual records by the risks of its own enforcement.",
        ),
    ),
    28: (
        (
            "行政执法机关及其执法人员在行政执法行为终结之日起三十日内，应当将行政执法全过程记录资料按照档案管理的规定立卷、归档。",
            "Within thirty days of the day on which an administrative enforcement act ends, the agency and its "
            "officers shall file the whole-process records and put them on archive as archive management provides.",
        ),
        (
            "作为证据使用的录音、录像，应当制作光盘归档保存，并注明记录的事项、时间、地点、方式和行政执法人员等信息。",
            "Sound and video recordings that are used as evidence shall be put on disc and kept on archive, with a "
            "note of the matter, time, place, method and officers of the recording and similar information.",
        ),
    ),
    29: (
        (
            "行政执法机关及其有关工作人员不得擅自毁损、删除、修改行政执法全过程记录资料。",
            "The agency and its staff concerned shall not damage, delete or alter whole-process records without "
            "authority.",
        ),
    ),
}
