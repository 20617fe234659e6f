"""Look-alikes: characters that optical character recognition confuses, by script.

The characters of a group differ by a stroke, a dot or a hook. The groups were chosen by shape; they are not the
measured confusions of an OCR program. Lost accents need no list (see `ocr.py`). Scripts that are not listed, such as
Georgian and Burmese, have no look-alikes, and their texts are not changed.
"""

from collections import defaultdict
from collections.abc import Mapping

_GROUPS = {
    "Latin": "Il1 O0Q S5 B8 Z2 G6 g9q ec oc uv nu hb ft tl ij VY MN CG EF PR KX",
    "Cyrillic": "инп пл шщ цщ ес ЗЭ зэ гт ъьы ФО НП",
    "Greek": "νυ οσ αο ηπ ρφ ΘΟ ΑΛΔ ΕΣ ςξ χκ",
    "Arabic": "بتثني جحخ دذ رز سش صض طظ عغ فق ةه ىي اأإآ وؤ کگ ہھ",
    "Hebrew": "בכ דרך החת וזן םס גנ טמ עצ יו",
    "Devanagari": "बव घध भम थय पष डङ टठढ तन कफ रख",
    "Bengali": "বর ষয ঘয নল তও ডউ",
    "Gurmukhi": "ਸਮ ਪਧ ਵਦ ਤਭ",
    "Gujarati": "પષ ઘધ બખ ગળ",
    "Tamil": "னண லவ நத கச ஞஜ உஊ ஒஓ எஏ",
    "Telugu": "పవష మయ దధ డఢ సన బభ తల",
    "Malayalam": "നത വപ ധഡ ലവ ഒഓ എഏ",
    "Thai": "กถภ คดต ชซข บป ผฝ พฟ มน ฎฏ ลส ทห อฮ รธ",
    "Hangul": "ㅏㅑ ㅓㅕ ㅗㅛ ㅜㅠ ㅐㅔ ㅒㅖ ㅣㅏ ㅡㅜ ㄱㅋ ㄷㅌㄹ ㅁㅇ ㅂㅁ ㅅㅈㅊ ㅇㅎ",
    "kana": (
        "ソンリ シツ クタケワ ウワラ ロコ チテ ナメ ニエ ノソ カガ キギ コゴ サザ セゼ ハバパ ヒビピ フブプ "
        "ヘベペ ホボポ はばぱほ ひびぴ ふぶぷ へべぺ るろ ぬめあ われね さきち かが ごこ じし ずす ぜせ ぞそ どと でて "
        "っつ ゃや ゅゆ ょよ ッツ ャヤ ュユ ョヨ"
    ),
    "Han": (
        "未末 土士 己已巳 日曰目 人入八 大太犬 天夫夭 千干于 王玉主 贝见 刀力 间问闻 鸟乌 今令 住往 侯候 晴睛 "
        "治冶 风凤 特持 拔拨 兔免 辩辨 请清情 由田甲申 石右 白自百 木本术 厂广 万方 历厉 代伐 休体 东车 "
        "友发 为办 处外 午牛 市布 手毛 元无 名各 老考 師帥 間問聞 東束 車軍 鳥烏 島鳥 遣遺 微徴 員貝具 "
        "待侍 官宮 線緑"
    ),
}

_SIMPLER = "ßB łl đd øo ðo ıi ŋn ɓb ɗd о0 О0 З3 б6 іl їі єе ңн ғг ұү үу қк өо әэ ο0 Ο0 پبت چجح ژزر گك ٹت ڈد ڑر ںن یى"
"""Groups with one direction: the first character is read as one of the others, which are more common."""

PAIRS: Mapping[str, str] = {"rn": "m", "cl": "d", "vv": "w", "ii": "u", "li": "h", "ri": "n"}
"""Pairs of letters that are read as one letter."""

SPLITS: Mapping[str, str] = {whole: pair for pair, whole in PAIRS.items() if pair in ("rn", "cl", "vv")}
"""Letters that are read as a pair of letters."""


def _alike() -> Mapping[str, str]:
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for groups in _GROUPS.values():
        for group in groups.split():
            for character in group:
                found[character] |= dict.fromkeys(other for other in group if other != character)
    for group in _SIMPLER.split():
        found[group[0]] |= dict.fromkeys(group[1:])
    return {character: "".join(others) for character, others in found.items()}


ALIKE = _alike()
"""The characters for which each character is mistaken, as one string; for Korean, letters instead of syllables."""
