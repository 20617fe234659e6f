"""Tiny checkpoints of every architecture with random weights, in the files that published ones come in."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from stilts.train.base import materialise_base
from tests.train.toys import NO_DROPOUT

USUAL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.2,  # wide, so that positions, segments and masks show in the outputs
    **NO_DROPOUT,
}
_ROBERTA = {**USUAL, "max_position_embeddings": 66, "type_vocab_size": 1}
CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {**USUAL, "max_position_embeddings": 64},
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "xlm": {
        "emb_dim": 32,
        "n_layers": 2,
        "n_heads": 2,
        "n_langs": 3,
        "lang2id": {"de": 0, "en": 1, "fr": 2},
        "max_position_embeddings": 64,
        "embed_init_std": 0.2,
        "init_std": 0.2,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "summary_first_dropout": 0.0,
    },
    "rembert": {
        **USUAL,
        "input_embedding_size": 16,
        "output_embedding_size": 24,
        "max_position_embeddings": 64,
        "classifier_dropout_prob": 0.0,
    },
    # mDeBERTa-v3's settings.
    "deberta-v2": {
        **USUAL,
        "relative_attention": True,
        "position_buckets": 8,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": "p2c|c2p",
        "position_biased_input": False,
        "max_position_embeddings": 64,
    },
    "xlnet": {
        "d_model": 32,
        "n_layer": 2,
        "n_head": 2,
        "d_inner": 64,
        "initializer_range": 0.2,
        "dropout": 0.0,
        "summary_last_dropout": 0.0,
    },
}
KINDS = tuple(CONFIGS)

_WINDOWED = {
    **USUAL,
    "max_position_embeddings": 64,
    # A window of 4 tokens in the second layer, narrower than the texts.
    "local_attention": 4,
    "layer_types": ["full_attention", "sliding_attention"],
}
NEWER: dict[str, tuple[str, dict[str, Any]]] = {
    "mmbert": ("modernbert", _WINDOWED),
    "modernbert": ("modernbert", _WINDOWED),
    "eurobert": ("eurobert", {**USUAL, "max_position_embeddings": 64, "num_key_value_heads": 1}),
    "gte": ("gte", {**USUAL, "max_position_embeddings": 64}),
    "xlm-roberta-xl": ("xlm-roberta-xl", _ROBERTA),
    "xmod": ("xmod", {**_ROBERTA, "languages": ["de_DE", "en_XX", "fr_XX"]}),
    # XLM-R's tokenizer, whose padding token has the id 1, and BERT's default pad_token_id, 0.
    "minilm": ("bert", {**USUAL, "max_position_embeddings": 64}),
}
"""Encoders with their model types and settings."""


def make_checkpoint(kind: str, out: Path, text: Path, **config: Any) -> Path:
    """The checkpoint as it is published, brought into a store's layout by `materialise_base`."""
    raw = out / "raw"
    raw.mkdir(parents=True)
    pieces = _TOKENIZERS[kind](raw, text.read_text().splitlines())
    torch.manual_seed(0)
    model_type, fields = NEWER[kind] if kind in NEWER else (kind, CONFIGS[kind])
    settings = {**fields, "vocab_size": pieces, **_SPECIAL_IDS[kind], **config}
    encoder = AutoModel.from_config(AutoConfig.for_model(model_type, **settings))
    for name, parameter in encoder.named_parameters():
        if kind == "eurobert" and "embed_tokens" in name:
            torch.nn.init.normal_(parameter, std=0.2)  # the padding token is the end of the text, and is read
    encoder.save_pretrained(raw)
    materialise_base({"path": str(raw)}, out / "base")
    return out / "base"


_SPECIAL_IDS: dict[str, dict[str, int]] = {
    "bert": {"pad_token_id": 0},
    "roberta": {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    "xlm-roberta": {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    "xlm": {"pad_token_id": 2, "bos_token_id": 0, "eos_token_id": 1},
    "rembert": {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 3},
    "deberta-v2": {"pad_token_id": 0},
    "xlnet": {"pad_token_id": 5, "bos_token_id": 1, "eos_token_id": 2},
    "mmbert": {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2, "cls_token_id": 1, "sep_token_id": 1},
    "modernbert": {"pad_token_id": 2, "eos_token_id": 1, "bos_token_id": 0, "cls_token_id": 0, "sep_token_id": 1},
    "eurobert": {"pad_token_id": 1, "eos_token_id": 1, "bos_token_id": 0, "mask_token_id": 2},
    "gte": {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    "xlm-roberta-xl": {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    "xmod": {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    "minilm": {"pad_token_id": 0},
}


def _word_pieces(out: Path, lines: Iterable[str]) -> int:
    """vocab.txt, as mBERT's."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        lines, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    )
    words = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    (out / "vocab.txt").write_text("\n".join(words) + "\n")
    (out / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))
    return len(words)


def _byte_pairs(out: Path, lines: Iterable[str]) -> int:
    """vocab.json and merges.txt over bytes, as RoBERTa's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.model.save(str(out))
    return tokenizer.get_vocab_size()


def _xlm_pairs(out: Path, lines: Iterable[str]) -> int:
    """vocab.json and merges.txt with counts, as XLM's."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = ["<s>", "</s>", "<pad>", "<unk>", *(f"<special{number}>" for number in range(10))]
    trainer = trainers.BpeTrainer(
        vocab_size=200, special_tokens=special, end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator(lines, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    (out / "vocab.json").write_text(json.dumps(model["vocab"]))
    (out / "merges.txt").write_text("".join(f"{first} {second} 7\n" for first, second in model["merges"]))
    (out / "tokenizer_config.json").write_text(json.dumps({"do_lowercase_and_remove_accent": False}))
    return len(model["vocab"])


def _sentence_pieces(name: str, added: int = 0, **options: Any) -> Any:
    """A SentencePiece model under the name that the type's tokenizer looks for; `added`: tokens that it appends."""

    def make(out: Path, lines: Iterable[str]) -> int:
        with (out / name).open("wb") as file:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=file,
                vocab_size=160,
                num_threads=1,
                minloglevel=2,
                **options,
            )
        return 160 + added

    return make


def _gemma_pairs(out: Path, lines: Iterable[str]) -> int:
    """tokenizer.json with byte pairs over text whose blanks are replaced by `▁`, as mmBERT's; no blank is added."""
    draft = Tokenizer(models.BPE())
    draft.normalizer = normalizers.Replace(" ", "▁")
    draft.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    draft.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=160, show_progress=False))
    model = json.loads(draft.to_str())["model"]
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    words = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *model["vocab"]]
    ids = {word: number for number, word in enumerate(words)}
    merges = [tuple(pair) for pair in model["merges"]]
    tokenizer = Tokenizer(models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    _save(tokenizer, out, "<bos>", "<eos>", pad_token="<pad>", unk_token="<unk>", mask_token="<mask>")
    return len(words)


def _byte_level(first: str, last: str, **names: str) -> Any:
    """tokenizer.json with byte pairs and without an unknown token, as ModernBERT's and EuroBERT's."""

    def make(out: Path, lines: Iterable[str]) -> int:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=list(dict.fromkeys((first, last, *names.values()))),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(lines, trainer)
        _save(tokenizer, out, first, last, **names)
        return tokenizer.get_vocab_size()

    return make


def _save(tokenizer: Tokenizer, out: Path, first: str, last: str, **names: str) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B {last}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
    )
    inputs = ["input_ids", "attention_mask"]
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=first, eos_token=last, model_input_names=inputs, **names
    ).save_pretrained(out)


_TOKENIZERS = {
    "mmbert": _gemma_pairs,
    "modernbert": _byte_level(
        "[CLS]", "[SEP]", pad_token="[PAD]", mask_token="[MASK]", cls_token="[CLS]", sep_token="[SEP]"
    ),
    "eurobert": _byte_level("<|begin_of_text|>", "<|end_of_text|>", pad_token="<|end_of_text|>", mask_token="<|mask|>"),
    **dict.fromkeys(("gte", "xlm-roberta-xl", "xmod", "minilm"), _sentence_pieces("sentencepiece.bpe.model", added=2)),
    "bert": _word_pieces,
    "roberta": _byte_pairs,
    "xlm-roberta": _sentence_pieces("sentencepiece.bpe.model", added=2),
    "xlm": _xlm_pairs,
    "rembert": _sentence_pieces(
        "sentencepiece.model",
        pad_id=0,
        bos_id=1,
        unk_id=2,
        eos_id=3,
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        user_defined_symbols=["[MASK]"],
    ),
    "deberta-v2": _sentence_pieces(
        "spm.model",
        added=1,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        pad_piece="[PAD]",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        unk_piece="[UNK]",
    ),
    "xlnet": _sentence_pieces("spiece.model", control_symbols=["<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"]),
}
