"""Small tokenizers of the two layouts, trained on the spot."""

from collections.abc import Callable, Iterable

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, XLMRobertaTokenizer

SENTENCES = [
    "The quick brown fox jumps over the lazy dog near the river bank.",
    "She moved to Paris in 1991 and has lived there ever since.",
    "A man is playing a guitar on a stage in front of many people.",
    "Der schnelle braune Fuchs springt über den faulen Hund am Flussufer.",
    "Die Universität wurde im Jahr 1847 in München gegründet.",
    "Le conseil municipal a voté hier soir le budget de la ville.",
    "敏捷的棕色狐狸跳过了河边的懒狗，然后回到北京。",
    "北京大学成立于1898年，是中国近代第一所国立大学。",
    "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย",
    "แม่น้ำเจ้าพระยาไหลผ่านกรุงเทพมหานคร",
    "القاهرة هي عاصمة جمهورية مصر العربية وأكبر مدنها.",
    "नई दिल्ली भारत की राजधानी है और यमुना नदी के किनारे है।",
    "చెన్నై తమిళనాడు రాష్ట్ర రాజధాని.",
    "Hà Nội là thủ đô của nước Việt Nam.",
]

TrainTokenizer = Callable[[Iterable[str], int], PreTrainedTokenizerFast]


def _xlmr(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    texts = list(texts)
    normalizer = normalizers.NFKC()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    # Every character is in the vocabulary, so that <unk> does not swallow stretches of text.
    alphabet = sorted({char for text in texts for char in normalizer.normalize_str(text)} - {" "} | {"▁"})
    pieces = [*specials, *alphabet]
    if vocabulary:
        backend = Tokenizer(models.Unigram())
        backend.normalizer = normalizer
        backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
        trainer = trainers.UnigramTrainer(
            vocab_size=len(pieces) + vocabulary,
            special_tokens=specials,
            unk_token="<unk>",
            initial_alphabet=alphabet,
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer)
        learned = sorted(backend.get_vocab(with_added_tokens=False).items(), key=lambda entry: entry[1])
        pieces = list(dict.fromkeys([*specials, *(piece for piece, _ in learned), *alphabet]))
    scores = [(piece, 0.0 if piece in specials else -10.0 / len(piece)) for piece in pieces]
    tokenizer = XLMRobertaTokenizer(vocab=[*scores, ("<mask>", 0.0)])
    tokenizer.backend_tokenizer.normalizer = normalizer
    return tokenizer


@pytest.fixture(scope="session")
def train_tokenizer() -> TrainTokenizer:
    """`train_tokenizer(texts, pieces)`: laid out like XLM-R's; without pieces each character is a token."""
    return _xlmr


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """`<s>A</s></s>B</s>`, word pieces with a leading ▁."""
    return _xlmr(SENTENCES, 150)


@pytest.fixture(scope="session")
def bert_tokenizer() -> PreTrainedTokenizerFast:
    """`[CLS]A[SEP]B[SEP]` with token type ids."""
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=specials, show_progress=False)
    backend.train_from_iterator(SENTENCES, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


@pytest.fixture(scope="session", params=["xlmr", "bert"])
def any_tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    """Either layout."""
    return request.getfixturevalue("tokenizer" if request.param == "xlmr" else "bert_tokenizer")
