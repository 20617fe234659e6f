"""Language ids: XLM adds an embedding of the language to every token, and X-MOD has an adapter per language."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from stilts.errors import StiltsError

log = logging.getLogger(__name__)


class LanguageIds:
    """Maps language codes to a model's language ids.

    A language that the model has no id for takes the id of English, the language of the fine-tuning data; a warning
    in the log names each such language once. The model has never seen its text, so that its scores are a lower bound.
    """

    def __init__(self, ids: Mapping[str, int], otherwise: int) -> None:
        self._ids = ids
        self._otherwise = otherwise
        self._told: set[str] = set()

    @classmethod
    def of(cls, config: Any) -> "LanguageIds | None":
        """The ids of an XLM or X-MOD configuration; None where the model has no languages (XLM-17 and XLM-100).

        Raises:
            StiltsError: the model has languages, but the configuration does not say which is which.
        """
        if config.model_type == "xmod":
            # `en_XX` and `de_DE`: the first adapter of a language is taken.
            codes = [str(name).partition("_")[0] for name in config.languages]
            first = {code: codes.index(code) for code in codes}
            return cls(first, first.get("en", 0))
        if not (config.use_lang_emb and config.n_langs > 1):
            return None
        ids = getattr(config, "lang2id", None)
        if not ids or max(ids.values()) >= config.n_langs:
            raise StiltsError(
                f"config.json: a model with {config.n_langs} language embeddings needs lang2id, the id of each "
                f"language code, below {config.n_langs}; it has {ids}"
            )
        return cls(ids, ids.get("en", config.lang_id))

    def __call__(self, languages: Sequence[str] | None, count: int) -> list[int]:
        """The id of each of `count` rows: that of their sequences, or of English if their languages are not known.

        Rows after the last sequence take the id of the first.
        """
        if languages is None:
            return [self._otherwise] * count
        ids = [self._id(language) for language in languages]
        return ids + ids[:1] * (count - len(ids))

    def _id(self, language: str) -> int:
        if language not in self._ids and language not in self._told:
            self._told.add(language)
            log.warning("the model has no language embedding for %r; its text takes the English one", language)
        return self._ids.get(language, self._otherwise)
