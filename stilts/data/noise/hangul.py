"""Hangul syllables as the letters that are typed and seen: taking one apart and putting it together again."""

from collections.abc import Mapping

_FIRST, _LAST = 0xAC00, 0xD7A3

INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
FINALS = "\0ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
"""In Unicode's order; the first final is none."""

_PLACES = (INITIALS, VOWELS, FINALS)


def is_syllable(cluster: str) -> bool:
    return len(cluster) == 1 and _FIRST <= ord(cluster) <= _LAST


def split(syllable: str) -> tuple[str, str, str]:
    """Initial, vowel and final; the final is "\\0" where there is none."""
    index = ord(syllable) - _FIRST
    return INITIALS[index // 588], VOWELS[index // 28 % 21], FINALS[index % 28]


def join(initial: str, vowel: str, final: str) -> str:
    """The syllable of three letters, as `split` gives them."""
    return chr(_FIRST + (INITIALS.index(initial) * 21 + VOWELS.index(vowel)) * 28 + FINALS.index(final))


def variants(syllable: str, alike: Mapping[str, str]) -> list[str]:
    """The syllables that differ by one letter, each letter giving way to those that `alike` has for it."""
    letters = split(syllable)
    return [
        join(*letters[:place], other, *letters[place + 1 :])  # type: ignore[call-arg]
        for place, letter in enumerate(letters)
        for other in alike.get(letter, "")
        if other in _PLACES[place]
    ]
