"""The quoted sentences are the regulation's own: compared with the printed lines of its text."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from dockd.law import attribution, completeness, deadline, masking, title, vocabulary
from dockd.law.text import quote

# Copied from the regulation line by line; a blank line separates paragraphs (款).
PRINTED = {
    (3, 1): """
第三条 行政执法全过程记录应当遵循合法、公正、客观、全面的原则。
""",
    (22, 1): """
第二十二条 行政执法人员在进行音像记录过程中，因设备故障、天气恶劣、人
为阻挠等客观原因中断记录的，重新开始记录时应当对中断原因进行语音说明；
确实无法继续记录的，应当在现场执法结束后书面说明情况，并由两名以上执法
人员签字。
""",
    (23, 1): """
第二十三条 音像记录完成后，行政执法人员应当在二十四小时内将音像记录信
息储存至所在机关的行政执法信息系统或者指定的存储设备，不得私自保管或者
擅自交给他人保管，不得泄露音像记录信息。
""",
    (23, 2): """
因连续执法、异地执法或者在边远、水上、交通不便地区执法，确实无法及
时储存音像记录信息的，行政执法人员应当在返回所在机关后二十四小时内予以
储存。
""",
    (24, 1): """
第二十四条 行政执法机关应当加强音像记录设备的管理，明确专门人员负责音
像记录设备的存放、维护、保养、登记。在进行音像记录时，应当及时检查记录
设备的电池容量、内存空间，保证记录设备正常使用。
""",
    (25, 1): """
第二十五条 行政执法人员在实施处罚或者采取强制措施、询问当事人时，应当
事先告知对方使用音像记录设备记录。
""",
    (26, 1): """
第二十六条 行政执法人员应当严格按照规程操作音像记录设备，遇到故障应立
即停止使用并及时报告，联系专业部门进行维修，不得私自将设备进行拆装和更
换处理。
""",
    (27, 1): """
第二十七条 行政执法机关应当加强行政执法全过程记录资料的管理，明确专门
人员负责行政执法全过程记录资料的归档保存、使用管理，并按照名称、记录设
备编号、执法人员信息、使用时间、案件当事人和案由名称等项目分类存储。
""",
    (27, 2): """
行政执法全过程记录资料涉及国家秘密、商业秘密和个人隐私的，行政执法
机关应当按照有关法律、法规、规章的规定进行管理。
""",
    (27, 3): """
行政执法机关应当根据本机关行政执法的风险情况，合理确定各类音像记录
资料的保存期限和保存方式。
""",
    (28, 1): """
第二十八条 行政执法机关及其执法人员在行政执法行为终结之日起三十日内，
应当将行政执法全过程记录资料按照档案管理的规定立卷、归档。
""",
    (28, 2): """
作为证据使用的录音、录像，应当制作光盘归档保存，并注明记录的事项、
时间、地点、方式和行政执法人员等信息。
""",
    (29, 1): """
第二十九条 行政执法机关及其有关工作人员不得擅自毁损、删除、修改行政执
法全过程记录资料。
""",
}


def joined(printed: str) -> str:
    return re.sub(r"^第[一二三四五六七八九十]+条 ", "", printed.strip()).replace("\n", "")


@pytest.mark.parametrize(("article", "paragraph"), PRINTED)
def test_the_chinese_is_the_printed_text_with_its_line_breaks_joined(article: int, paragraph: int) -> None:
    assert quote(article, paragraph).zh == joined(PRINTED[article, paragraph])


@pytest.mark.parametrize(("article", "paragraph"), PRINTED)
def test_every_quoted_paragraph_has_an_english_rendering(article: int, paragraph: int) -> None:
    english = quote(article, paragraph).en
    assert english.isascii()
    assert english.endswith(".")


def test_without_a_paragraph_the_whole_article_is_quoted_in_order() -> None:
    assert quote(23).zh == f"{quote(23, 1).zh}\n{quote(23, 2).zh}"
    assert quote(29).zh == quote(29, 1).zh
    assert quote(27).en.count("\n") == 2


@pytest.mark.parametrize(("article", "paragraph"), [(23, 3), (23, 0), (23, -1), (1, None), (99, 1)])
def test_what_is_not_kept_is_not_quoted(article: int, paragraph: int | None) -> None:
    with pytest.raises(KeyError):
        quote(article, paragraph)


@pytest.mark.parametrize(
    ("article", "paragraph", "zh", "en"),
    [
        (3, None, "第三条", "article 3"),
        (23, 1, "第二十三条第一款", "article 23(1)"),
        (23, None, "第二十三条", "article 23"),
        (28, 2, "第二十八条第二款", "article 28(2)"),
    ],
)
def test_an_article_is_cited_as_lawyers_write_it(article: int, paragraph: int | None, zh: str, en: str) -> None:
    cited = quote(article, paragraph)
    assert (cited.cite_zh, cited.cite_en) == (zh, en)


def test_the_first_letter_of_a_number_between_ten_and_twenty_is_ten() -> None:
    from dockd.law.text import ArticleText

    assert ArticleText(18, None, "", "").cite_zh == "第十八条"
    assert ArticleText(10, None, "", "").cite_zh == "第十条"
    assert ArticleText(20, None, "", "").cite_zh == "第二十条"


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        (deadline, quote(23, 1).zh),
        (deadline, quote(23, 2).zh),
        (attribution, quote(27, 1).zh),
        (completeness, quote(27, 1).zh),
        (masking, quote(27, 2).zh),
        (title, quote(27, 1).zh.rpartition("并")[2].rstrip("。")),
        (vocabulary, "依法履行行政处罚、行政许可、行政强制、行政检查、行政征收征用等行政职责的行为。"),
        (vocabulary, "对执法程序启动、调查取证、审查决定、送达执行等环节进行记录的活动。"),
    ],
)
def test_a_module_of_an_article_opens_with_its_sentence(module: ModuleType, sentence: str) -> None:
    assert sentence in re.sub(r"\s", "", module.__doc__ or "")
