"""Keyboards: for each language, which letters lie beside which.

A layout is rows of keys as they lie, unshifted; `·` stands for a key without a letter, or one that is left alone. Two
letters are neighbours where the centres of their keys are at most 1.2 key widths apart: the key to the left and to the
right, and usually two above and two below. Letters that take several strokes (dead keys, Vietnamese vowels) have none.

What a neighbour means where a letter is not a key:

- Korean: syllables are typed letter by letter, so that one letter of a syllable is replaced (`hangul.py`).
- Japanese: kana lie on the telephone keypad, where a slip of the flick gives another kana of the same row of the
  syllabary. Kanji come from a conversion and have no neighbour.
- Chinese: characters come from a conversion of pinyin; what a slip gives depends on the program, so that there is no
  neighbour. Only the Latin letters of a Chinese text change.
- Burmese and the other scripts without a layout here: the same.

Indic scripts have one arrangement, InScript; letters stand on it with the shift key or without, and slips keep to it.
"""

import unicodedata
from collections.abc import Mapping
from functools import cache
from math import hypot

GAP = "·"
REACH = 1.2
"""Key widths between the centres of neighbouring keys."""

_STAGGER = (0.0, 0.5, 0.75, 1.25)
"""Where the rows of a keyboard begin: digits, upper, home and lower row."""

Layout = tuple[str, str, str, str]

_QWERTY: Layout = ("", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_LATIN: dict[str, Layout] = {
    "az": ("", "qüertyuiopöğ", "asdfghjklıə", "zxcvbnmçş"),
    "de": ("··········ß", "qwertzuiopü", "asdfghjklöä", "yxcvbnm"),
    "es": ("", "qwertyuiop", "asdfghjklñ", "zxcvbnm"),
    "et": ("", "qwertyuiopüõ", "asdfghjklöä", "zxcvbnm"),
    "fi": ("", "qwertyuiopå", "asdfghjklöä", "zxcvbnm"),
    "fr": ("·é····è·çà", "azertyuiop", "qsdfghjklmù", "wxcvbn"),
    "hu": ("·········öüó", "qwertzuiopőú", "asdfghjkléáű", "íyxcvbnm"),
    "it": ("···········ì", "qwertyuiopè", "asdfghjklòàù", "zxcvbnm"),
    "lt": ("ąčęėįšųū···ž", "qwertyuiop", "asdfghjkl", "zxcvbnm"),
    "pt": ("", "qwertyuiop", "asdfghjklç", "zxcvbnm"),
    "ro": ("", "qwertyuiopăî", "asdfghjklșțâ", "zxcvbnm"),
    "tr": ("", "qwertyuıopğü", "asdfghjklşi", "zxcvbnmöç"),
}
_LATIN |= {"eu": _LATIN["es"], "qu": _LATIN["es"], "wo": _LATIN["fr"]}

_OTHERS: dict[str, Layout] = {
    "ar": ("", "ضصثقفغعهخحجد", "شسيبلاتنمكط", "ئءؤر·ىةوزظ"),
    "fa": ("", "ضصثقفغعهخحجچ", "شسیبلاتنمکگ", "ظطزرذدپو"),
    # CRULP's phonetic layout.
    "ur": ("", "قوعرتےءیہپ", "اسدفگحجکل", "زشچطبنم"),
    "bg": ("", "·уеишщксдзц", "ьяаожгтнвмч", "юйъэфхпрлб"),
    "el": ("", "·ςερτυθιοπ", "ασδφγηξκλ", "ζχψωβνμ"),
    "he": ("", "··קראטוןםפ", "שדגכעיחלךף", "זסבהנמצתץ"),
    "ka": ("", "ქწერტყუიოპ", "ასდფგჰჯკლ", "ზხცვბნმ"),
    "kk": ("·әіңғ··үұқөһ", "йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
    "ru": ("", "йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
    "uk": ("", "йцукенгшщзхї", "фівапролджє", "ячсмитьбю"),
    # Kedmanee; the vowel signs and tone marks on it are no letters.
    "th": ("ๅ·ภถ··คตจขช", "ๆไ·พะ··รนยบล", "ฟหกดเ··าสวง", "ผปแอ··ทมใฝ"),
}

_INSCRIPT: tuple[Layout, Layout] = (
    ("", "·····बहगदजड", "·····परकतचट", "··मनवलस··य"),
    ("", "औऐआईऊभङघधझढञ", "ओएअइउफऱखथछठ", "··ण··ळशष"),
)
"""Devanagari without and with the shift key; the vowel signs on it are no letters."""

_DEVANAGARI = 0x0900
_INDIC = {
    "bn": 0x0980, "gu": 0x0A80, "hi": 0x0900, "ml": 0x0D00, "mr": 0x0900, "pa": 0x0A00, "ta": 0x0B80, "te": 0x0C00,
}  # fmt: skip
"""Language -> block of its script. The blocks of Unicode are parallel, as InScript's layouts are."""

_DUBEOLSIK: Layout = ("", "ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔ", "ㅁㄴㅇㄹㅎㅗㅓㅏㅣ", "ㅋㅌㅊㅍㅠㅜㅡ")

_FLICK = (
    "あいうえお", "かきくけこ", "さしすせそ", "たちつてと", "なにぬねの", "はひふへほ", "まみむめも", "やゆよ",
    "らりるれろ", "わをん",
)  # fmt: skip
_KATAKANA = ord("ア") - ord("あ")


@cache
def neighbours(language: str) -> Mapping[str, str]:
    """Letter, in lower case -> the letters beside it; for Korean the letters of syllables among them. Latin letters
    lie on QWERTY where the language has no layout for them."""
    layouts = [_LATIN.get(language, _QWERTY)]
    if language in _OTHERS:
        layouts.append(_OTHERS[language])
    if language in _INDIC:
        layouts += [_in_block(layout, _INDIC[language]) for layout in _INSCRIPT]
    if language == "ko":
        layouts.append(_DUBEOLSIK)
    found = {key: beside for layout in layouts for key, beside in _beside(layout).items()}
    return found | _flicked() if language == "ja" else found


def _beside(layout: Layout) -> dict[str, str]:
    keys = [(key, x + _STAGGER[y], y) for y, row in enumerate(layout) for x, key in enumerate(row) if key != GAP]
    return {
        key: "".join(other for other, u, v in keys if other != key and hypot(u - x, v - y) <= REACH)
        for key, x, y in keys
    }


def _in_block(layout: Layout, block: int) -> Layout:
    """A Devanagari layout in another script, with gaps for the letters that it lacks."""
    upper, home, lower = (
        "".join(key if key == GAP else _letter(ord(key) - _DEVANAGARI + block) for key in row) for row in layout[1:]
    )
    return ("", upper, home, lower)


def _letter(point: int) -> str:
    return chr(point) if unicodedata.category(chr(point)) == "Lo" else GAP


def _flicked() -> dict[str, str]:
    rows = [*_FLICK, *("".join(chr(ord(kana) + _KATAKANA) for kana in row) for row in _FLICK)]
    return {kana: row.replace(kana, "") for row in rows for kana in row}
