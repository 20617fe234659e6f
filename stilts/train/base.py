"""Write a base model, from the hub, from a local folder or randomly initialised, in the Hugging Face layout."""

import json
import math
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import Unigram
from tokenizers.trainers import UnigramTrainer
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from stilts.encoders.architectures import Architecture, architecture
from stilts.encoders.checkpoint_checks import checkpoint_problems
from stilts.encoders.checkpoint_files import (
    CONFIG,
    EXTRAS,
    TOKENIZERS,
    checkpoint_digest,
    checkpoint_files,
)
from stilts.encoders.config_checks import TOKEN_IDS
from stilts.encoders.hub import hub_cache_error
from stilts.errors import Problems, StiltsError
from stilts.os_errors import TEMPORARY, explained
from stilts.train.tokenizer import add_frame
from stilts.train.xlm import convert_xlm_tokenizer

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
"""Special tokens with the ids 0 to 3, as in XLM-R. `<mask>` has the last id."""
MASK = "<mask>"


def materialise_base(identity: dict[str, Any], out: Path, text_files: Sequence[Path] = ()) -> None:
    """Write a base model to a folder: config.json, model.safetensors and the files of its tokenizer.

    Args:
        identity: `{"hub": id, "revision": commit}`, `{"path": folder, "files": digest}`, or
            `{"init": {"config": {...}, "tokenizer": {"vocab_size": n}, "seed": s, "text": [identity, ...]}}`.
        out: the folder, which is created if necessary; usually in the temporary folder, as messages say.
        text_files: text files with one sentence per line, on which the tokenizer of an `init` model is trained.

    Raises:
        StiltsError: the checkpoint cannot be downloaded, has no safetensors or differs from the one that was planned.
        Problems: everything in it that keeps it from being trained on (`checkpoint_problems`).
    """
    out.mkdir(parents=True, exist_ok=True)
    if "hub" in identity:
        _copy_checkpoint(_download(identity["hub"], identity.get("revision")), out)
    elif "path" in identity:
        _copy_local(Path(identity["path"]), identity.get("files"), out)
    elif "init" in identity:
        _make(identity["init"], out, text_files)
    else:
        raise StiltsError(f"base model {identity}: give hub, path or init")


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    tokenizers = [file for group in TOKENIZERS for file in group]
    patterns = ["config.json", "model*.safetensors", "model.safetensors.index.json", *tokenizers, *EXTRAS]
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except Exception as error:  # the hub client raises many types, and all mean that there is no snapshot
        if (of_disk := hub_cache_error(error)) is not None:
            raise of_disk from error
        raise StiltsError(f"base model {name}@{revision}: cannot be downloaded ({error})") from error
    if not any(folder.glob("*.safetensors")):
        raise StiltsError(
            f"base model {name}@{revision}: it has no safetensors (older checkpoints are pickles, which are never "
            "loaded); name a revision that has them, such as the hub's refs/pr/N of the conversion bot"
        )
    return folder


def _copy_local(path: Path, files: str | None, out: Path) -> None:
    if path.is_dir() and files is not None and checkpoint_digest(path) != files:
        raise StiltsError(f"base model {path}: its files have changed since the plan was made; plan again")
    _copy_checkpoint(path, out)


def _copy_checkpoint(folder: Path, out: Path) -> None:
    problems = checkpoint_problems(folder)
    if problems:
        raise Problems(problems)
    files = checkpoint_files(folder)
    with explained("write", out, what=TEMPORARY, need=sum(file.stat().st_size for file in files)):
        for file in files:
            shutil.copyfile(file, out / file.name)
    if json.loads((out / CONFIG).read_text()).get("model_type") == "xlm":
        convert_xlm_tokenizer(out)


def _make(init: dict[str, Any], out: Path, text_files: Sequence[Path]) -> None:
    """Train a tokenizer on the text, and initialise an encoder with random weights drawn from the seed."""
    settings = dict(init["config"])
    kind = settings.pop("model_type", "xlm-roberta")
    facts = architecture(kind)
    tokenizer = train_tokenizer(text_files, init["tokenizer"]["vocab_size"], facts)
    if not facts.relative:
        settings.setdefault("max_position_embeddings", 514)
    config = AutoConfig.for_model(
        kind,
        **{**TOKEN_IDS, **settings, "vocab_size": len(tokenizer)},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(init["seed"])
        encoder = AutoModel.from_config(config)
    need = sum(tensor.nbytes for tensor in encoder.state_dict().values())
    with explained("write", out, what=TEMPORARY, need=need):
        encoder.save_pretrained(out)
        tokenizer.save_pretrained(out)


def train_tokenizer(
    text_files: Sequence[Path], vocab_size: int, facts: Architecture | None = None
) -> PreTrainedTokenizerFast:
    """Train a Unigram tokenizer like XLM-R's that adds the architecture's special tokens to a text.

    The vocabulary is smaller than `vocab_size` if the text does not yield that many pieces.

    Raises:
        StiltsError: there is no text, or the text has more characters than the vocabulary has places.
    """
    words = _words(text_files)
    if not words:
        raise StiltsError("a randomly initialised base model (init:) needs text for its tokenizer; give text files")
    least = len(set().union(*words)) + len(SPECIAL) + 1
    if vocab_size < least:
        raise StiltsError(
            f"tokenizer.vocab_size {vocab_size} is too small: the text's characters alone and the special tokens "
            f"take {least}; raise it, or give text of fewer scripts"
        )
    draft = _tokenizer(Unigram())
    trainer = UnigramTrainer(
        vocab_size=vocab_size - 1, special_tokens=list(SPECIAL), unk_token="<unk>", show_progress=False
    )
    draft.train_from_iterator(_lines(text_files), trainer)
    vocabulary = [*((piece, 0.0) for piece in SPECIAL), *_scores(set(draft.get_vocab()) - set(SPECIAL), words)]
    final = _tokenizer(Unigram([*vocabulary, (MASK, 0.0)], unk_id=SPECIAL.index("<unk>")))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=final,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token=MASK,
        model_input_names=["input_ids", "attention_mask"],
    )
    add_frame(tokenizer, facts or architecture("xlm-roberta"))
    return tokenizer


def _tokenizer(model: Unigram) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def _scores(pieces: set[str], words: Counter[str]) -> list[tuple[str, float]]:
    """Log frequencies of the pieces, most frequent first; the same for the same arguments.

    The trainer's own scores differ between runs in the third digit. These are estimated from counts of substrings,
    followed by two rounds of counting the pieces in the best segmentation of the text.
    """
    counts: Counter[str] = Counter(dict.fromkeys(pieces, 1))
    longest = max(map(len, pieces))
    for word, times in words.items():
        for start in range(len(word)):
            for end in range(start + 1, min(len(word), start + longest) + 1):
                if word[start:end] in pieces:
                    counts[word[start:end]] += times
    for _ in range(2):
        model = Unigram([("<unk>", 0.0), *_log(counts)], unk_id=0)
        counts = Counter(dict.fromkeys(pieces, 1))
        for word, times in words.items():
            for token in model.tokenize(word):
                if token.value in pieces:
                    counts[token.value] += times
    return _log(counts)


def _log(counts: Counter[str]) -> list[tuple[str, float]]:
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [(piece, math.log(count / total)) for piece, count in ordered]


def _words(files: Sequence[Path]) -> Counter[str]:
    """How often each word of the text occurs, as the tokenizer splits it, sorted by word."""
    shell = _tokenizer(Unigram())
    words: Counter[str] = Counter()
    for line in _lines(files):
        words.update(word for word, _ in shell.pre_tokenizer.pre_tokenize_str(shell.normalizer.normalize_str(line)))
    return Counter(dict(sorted(words.items())))


def _lines(files: Sequence[Path]) -> Iterator[str]:
    for path in files:
        with path.open(encoding="utf-8") as stream:
            yield from (line.strip() for line in stream if line.strip())
