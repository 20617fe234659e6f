"""Invented languages of the generated corpus."""

import pytest

from stilts.data.sources.generated.languages import ENGLISH, codes, invent
from stilts.data.sources.generated.lexicon import LOANS, WORDS
from stilts.errors import StiltsError


def test_languages_share_names_hours_and_loans_alone() -> None:
    vocabularies = [{ENGLISH.form(*word) for word in WORDS}]
    for language in invent(7, seed=0):
        forms = [language.form(*word) for word in WORDS if word[0] not in LOANS]
        assert len(set(forms)) == len(forms)
        vocabularies.append(set(forms))
    assert sum(map(len, vocabularies)) == len(set.union(*vocabularies))


def test_codes_end_where_private_use_ends() -> None:
    assert codes(27)[-2:] == ["qaz", "qba"]
    assert codes(520)[-1] == "qtz"
    with pytest.raises(StiltsError, match="520"):
        codes(521)
