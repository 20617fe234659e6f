"""Hangul syllables: decompose a syllable into its letters, and compose a syllable from letters."""

from collections.abc import Mapping

_FIRST, _LAST = 0xAC00, 0xD7A3

INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
FINALS = "\0ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
"""Letters in Unicode's order. The first final, "\\0", stands for a syllable without a final."""

_PLACES = (INITIALS, VOWELS, FINALS)


def is_syllable(cluster: str) -> bool:
    """Whether the string is a single precomposed Hangul syllable."""
    return len(cluster) == 1 and _FIRST <= ord(cluster) <= _LAST


def split(syllable: str) -> tuple[str, str, str]:
    """Initial, vowel and final of a syllable; the final is "\\0" if there is none."""
    index = ord(syllable) - _FIRST
    return INITIALS[index // 588], VOWELS[index // 28 % 21], FINALS[index % 28]


def join(initial: str, vowel: str, final: str) -> str:
    """The syllable of an initial, a vowel and a final, as `split` returns them."""
    return chr(_FIRST + (INITIALS.index(initial) * 21 + VOWELS.index(vowel)) * 28 + FINALS.index(final))


def variants(syllable: str, alike: Mapping[str, str]) -> list[str]:
    """All syllables in which one letter is replaced by one of the letters that `alike` lists for it."""
    letters = split(syllable)
    return [
        join(*letters[:place], other, *letters[place + 1 :])  # type: ignore[call-arg]
        for place, letter in enumerate(letters)
        for other in alike.get(letter, "")
        if other in _PLACES[place]
    ]
