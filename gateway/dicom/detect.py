"""A guess at the character set of a short text that does not declare one, or declares the wrong one. Pure.

Names are too short for statistics, so the rules look at how each encoding lays out its bytes, and, where
Chinese and Korean lay them out alike, at what surnames there are. Order: UTF-8, which hardly anything
else is by chance; Latin letters among ASCII; Cyrillic by its case; Japanese by its kana; Big5 by its second
bytes; Korean; GB18030; and Latin-1, which anything is.
"""

from __future__ import annotations

import re

LATIN = "latin_1"

_WORDS = re.compile(rb"[^\^=\\ ,.()/\-]+")
_BETWEEN = re.compile(r"[\^=\\ ,.()/+\-]+")
_RUNS = re.compile(rb"[\x80-\xff]+")
_CYRILLIC = {  # the first word, and what may follow
    "cp1251": (
        re.compile(rb"[\xc0-\xdf\xa8][\xe0-\xff\xb8]+|[\xc0-\xdf\xa8]+"),
        re.compile(rb"[\xc0-\xdf\xa8]?[\xe0-\xff\xb8]+|[\xc0-\xdf\xa8]+"),
    ),
    "koi8_r": (
        re.compile(rb"[\xe0-\xff\xb3][\xc0-\xdf\xa3]+|[\xe0-\xff\xb3]+"),
        re.compile(rb"[\xe0-\xff\xb3]?[\xc0-\xdf\xa3]+|[\xe0-\xff\xb3]+"),
    ),
    "iso8859_5": (
        re.compile(rb"[\xb0-\xcf\xa1][\xd0-\xef\xf1]+"),
        re.compile(rb"[\xb0-\xcf\xa1]?[\xd0-\xef\xf1]+"),
    ),
}
_CHINESE_SURNAMES = frozenset(
    "王李张刘陈杨黄赵周吴徐孙朱马胡郭林何高梁郑罗宋谢唐韩曹许邓萧冯曾程蔡彭潘袁于董余苏叶吕魏蒋田杜丁沈"
    "姜范江傅钟卢汪戴崔任陆廖姚方金邱夏谭韦贾邹石熊孟秦阎薛侯雷白龙段郝孔邵史毛常万顾赖武康贺严尹钱施牛"
)
_KOREAN_SURNAMES = frozenset(
    "김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주우구라민진지엄채원천방공현함변염"
)
_CHINESE_WORDS = frozenset(
    "胸腹部平扫增强头颅盆腔椎颈腰膝关节骨正侧位超声心肝胆脾肾甲状腺乳检查院医科大学中人民第一二三市县省"
    "小明伟芳娜秀英敏静丽磊军勇艳杰娟涛文华建国玉红梅春兰志刚的左右上下双"
)


def detect(value: bytes, *, name: bool = False) -> str:
    """The Python codec this text was most likely written in.

    Args:
        value: bytes with at least one above 0x7F.
        name: whether it is a person's name, with the surname first.
    """
    if _decoded(value, "utf_8"):
        return "utf_8"
    for look in (_cyrillic, _japanese, _chinese_or_korean):
        found = look(value, name)
        if found:
            return found
    return LATIN


def _decoded(value: bytes, codec: str) -> str:
    try:
        return value.decode(codec)
    except UnicodeDecodeError:
        return ""


def _cyrillic(value: bytes, name: bool) -> str:
    """Words in small letters after a capital, or all in capitals, as only one of the three has them."""
    words = [word for word in _WORDS.findall(value) if not word.isascii()]
    if not any(len(word) >= 4 for word in words):
        return ""
    for codec, (first, more) in _CYRILLIC.items():
        if first.fullmatch(words[0]) and all(more.fullmatch(word) for word in words[1:]):
            return codec
    return ""


def _japanese(value: bytes, name: bool) -> str:
    for codec in ("shift_jis", "euc_jp"):
        wide = [letter for letter in _decoded(value, codec) if letter >= "\x80"]
        if not wide:
            continue
        kana = sum("\u3041" <= letter <= "\u30ff" for letter in wide)
        half = sum("\uff61" <= letter <= "\uff9f" for letter in wide)
        if kana and kana + half < 2 * len(wide):
            return codec
        leads = _RUNS.findall(value)
        if codec == "euc_jp":
            continue
        if half == len(wide) > 2 and any(len(run) % 2 for run in leads) and _alone(value.decode(codec)):
            return codec
        firsts = [run[0] for run in leads]
        if not half and max(firsts) >= 0x88 and all(0x81 <= first <= 0x9F for first in firsts):
            return codec  # kanji of the first level: in GB18030 these first bytes are rarities
    return ""


def _chinese_or_korean(value: bytes, name: bool) -> str:
    chinese = _ideographs(value, "gb18030")
    if _like_big5(value, chinese):
        return "big5"
    korean = _decoded(value, "euc_kr")
    hangul = [letter for letter in korean if letter >= "\x80"]
    is_hangul = bool(hangul) and all("\uac00" <= letter <= "\ud7a3" for letter in hangul)
    is_korean = is_hangul and (not name or _first_wide(korean) in _KOREAN_SURNAMES)
    if is_korean and _apart(korean, "euc_kr") and not _known_chinese(chinese, name):
        return "euc_kr"
    return "gb18030" if chinese and _apart(chinese, "gb18030") else ""


def _known_chinese(text: str, name: bool) -> bool:
    if name:
        return _first_wide(text) in _CHINESE_SURNAMES
    return any(letter in _CHINESE_WORDS for letter in text)


def _first_wide(text: str) -> str:
    return next((letter for letter in text if letter >= "\x80"), "")


def _ideographs(value: bytes, codec: str) -> str:
    """The text, if all beyond ASCII are ideographs or full-width signs."""
    text = _decoded(value, codec)
    wide = [letter for letter in text if letter >= "\x80"]
    return text if all("\u3000" <= one <= "\u9fff" or "\uff00" <= one <= "\uffef" for one in wide) else ""


def _alone(text: str) -> bool:
    """Whether no word has both ASCII letters and others."""
    return all(
        word.isascii() or not any(one.isascii() and one.isalpha() for one in word)
        for word in _BETWEEN.split(text)
    )


def _apart(text: str, codec: str) -> bool:
    """Whether wide letters keep apart from ASCII ones, unlike those of ``Müller`` and ``Conceição``."""
    seen = False
    for word in _BETWEEN.split(text):
        if word.isascii():
            continue
        runs = [len(run) for run in _RUNS.findall(word.encode(codec))]
        if not _alone(word) and any(run < 4 or run % 2 for run in runs):
            return False
        seen = seen or any(run > 1 for run in runs)
    return seen


def _like_big5(value: bytes, chinese: str) -> bool:
    """Whether it is of Big5's common letters and has what GB 2312 has not, or is no GB18030 at all."""
    text = _ideographs(value, "big5")
    if not text or not _apart(text, "big5"):
        return False
    pairs = [word.encode("big5") for word in text if not word.isascii()]
    low = any(pair[1] < 0x80 for pair in pairs)
    return (low or not chinese) and all(0xA4 <= pair[0] <= 0xC6 for pair in pairs)
