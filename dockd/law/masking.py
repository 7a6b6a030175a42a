"""Article 27(2): what outsiders see of records that touch secrets or privacy.

行政执法全过程记录资料涉及国家秘密、商业秘密和个人隐私的，行政执法机关应当按照有关法律、法规、规章的规定进行管理。
Where whole-process records touch state secrets, trade secrets or personal privacy, the agency shall
manage them as the relevant laws, regulations and rules provide.

A masked party shows at most its first character and never how long it is; text that may hold names
(title, place, remark) is withheld whole.
"""

from __future__ import annotations

import unicodedata

WITHHELD = "（受保护）"

_WITHHELD_FIELDS = frozenset({"title", "place", "remark"})

_OPEN = frozenset(
    {"", "-", "public", "open", "none", "no", "unclassified", "公开", "无", "否", "不涉密", "非涉密", "非密"}
)


def is_protected(confidentiality: str | None) -> bool:
    """Whether a record's confidentiality (密级) asks for masking.

    Only words known to mean "public" do not: a wording nobody foresaw must not publish a name.
    """
    if confidentiality is None:
        return False
    return unicodedata.normalize("NFKC", confidentiality).strip().casefold() not in _OPEN


def mask(text: str) -> str:
    """A party's name as ``张*``: its first letter or character and one star, whatever its length.

    ``*`` alone where the first character would be all of the name or is no letter; empty stays empty.
    """
    name = text.strip()
    if not name:
        return ""
    return f"{name[0]}*" if len(name) > 1 and name[0].isalpha() else "*"


def withhold(text: str) -> str:
    """``（受保护）`` for any text that says something; empty stays empty."""
    return WITHHELD if text.strip() else ""


def mask_field(field: str, text: str) -> str:
    """What a masked export shows of a protected record's ``party``, ``title``, ``place`` or ``remark``.

    Every other field is returned as it is. Several parties are masked one by one by the caller.
    """
    if field == "party":
        return mask(text)
    return withhold(text) if field in _WITHHELD_FIELDS else text
