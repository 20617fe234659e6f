"""Keyboards: the neighbours of each letter on the keyboard of a language.

A layout lists the rows of keys from top to bottom, without the shift key; `·` stands for a key without a letter or a
key that is not used here. Two letters are neighbours if the centres of their keys are at most 1.2 key widths apart.
These are the keys to the left and right, and usually two keys above and two below. Letters that take several keystrokes
(dead keys, Vietnamese vowels) have no neighbours.

Scripts in which a letter is not a key:

- Korean: syllables are typed letter by letter. A typing error replaces one letter of a syllable (`hangul.py`).
- Japanese: kana are typed on the telephone keypad. An error in the direction of a flick gives another kana of the same
  row of the syllabary. Kanji are chosen by an input method and have no neighbours.
- Chinese: characters are chosen by an input method from pinyin. The result of a typing error depends on the program, so
  that characters have no neighbours. Only the Latin letters of a Chinese text change.
- Burmese and other scripts without a layout here: only the Latin letters change.

Indic scripts share one layout, InScript, with different letters with and without the shift key. A typing error does not
change the state of the shift key.
"""

import unicodedata
from collections.abc import Mapping
from functools import cache
from math import hypot

GAP = "·"
REACH = 1.2
"""Largest distance between the centres of neighbouring keys, in key widths."""

_STAGGER = (0.0, 0.5, 0.75, 1.25)
"""Horizontal offset of the rows of a keyboard, in key widths: digit, upper, home and lower row."""

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
    # The phonetic layout of CRULP (Centre for Research in Urdu Language Processing).
    "ur": ("", "قوعرتےءیہپ", "اسدفگحجکل", "زشچطبنم"),
    "bg": ("", "·уеишщксдзц", "ьяаожгтнвмч", "юйъэфхпрлб"),
    "el": ("", "·ςερτυθιοπ", "ασδφγηξκλ", "ζχψωβνμ"),
    "he": ("", "··קראטוןםפ", "שדגכעיחלךף", "זסבהנמצתץ"),
    "ka": ("", "ქწერტყუიოპ", "ასდფგჰჯკლ", "ზხცვბნმ"),
    "kk": ("·әіңғ··үұқөһ", "йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
    "ru": ("", "йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
    "uk": ("", "йцукенгшщзхї", "фівапролджє", "ячсмитьбю"),
    # The Kedmanee layout, without its vowel signs and tone marks, which are not letters.
    "th": ("ๅ·ภถ··คตจขช", "ๆไ·พะ··รนยบล", "ฟหกดเ··าสวง", "ผปแอ··ทมใฝ"),
}

_INSCRIPT: tuple[Layout, Layout] = (
    ("", "·····बहगदजड", "·····परकतचट", "··मनवलस··य"),
    ("", "औऐआईऊभङघधझढञ", "ओएअइउफऱखथछठ", "··ण··ळशष"),
)
"""Devanagari without and with the shift key, without the vowel signs, which are not letters."""

_DEVANAGARI = 0x0900
_INDIC = {
    "bn": 0x0980, "gu": 0x0A80, "hi": 0x0900, "ml": 0x0D00, "mr": 0x0900, "pa": 0x0A00, "ta": 0x0B80, "te": 0x0C00,
}  # fmt: skip
"""First code point of the script's Unicode block, by language. Corresponding letters have the same offset in each
block, and the same key in InScript."""

_DUBEOLSIK: Layout = ("", "ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔ", "ㅁㄴㅇㄹㅎㅗㅓㅏㅣ", "ㅋㅌㅊㅍㅠㅜㅡ")

_FLICK = (
    "あいうえお", "かきくけこ", "さしすせそ", "たちつてと", "なにぬねの", "はひふへほ", "まみむめも", "やゆよ",
    "らりるれろ", "わをん",
)  # fmt: skip
_KATAKANA = ord("ア") - ord("あ")


@cache
def neighbours(language: str) -> Mapping[str, str]:
    """The neighbours of each lower-case letter, as one string per letter.

    Latin letters are those of the QWERTY layout if the language has no Latin layout of its own. For Korean, the letters
    of syllables are included.
    """
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
    """Convert a Devanagari layout to another script, with gaps for letters that the script lacks."""
    upper, home, lower = (
        "".join(key if key == GAP else _letter(ord(key) - _DEVANAGARI + block) for key in row) for row in layout[1:]
    )
    return ("", upper, home, lower)


def _letter(point: int) -> str:
    return chr(point) if unicodedata.category(chr(point)) == "Lo" else GAP


def _flicked() -> dict[str, str]:
    rows = [*_FLICK, *("".join(chr(ord(kana) + _KATAKANA) for kana in row) for row in _FLICK)]
    return {kana: row.replace(kana, "") for row in rows for kana in row}
