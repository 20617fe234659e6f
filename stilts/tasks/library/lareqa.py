"""LAReQA (XQuAD-R): find the sentences that answer a question, among the sentences of all languages together.

The model is trained on SQuAD. The answer's sentence is right in each language of the candidates, so that a model that
prefers sentences of the question's own language scores lower. XTREME-R evaluates the questions of all eleven languages
at once; here each language's questions are scored separately, against the same candidates. XTREME-R joins sentence and
paragraph to one text when it evaluates; here they are two texts, as in training.
"""

from stilts.tasks.base import Task, register
from stilts.tasks.benchmarks import XTREME_R

_CANDIDATES = {
    "ar": 1_222, "de": 1_276, "el": 1_234, "en": 1_180, "es": 1_215, "hi": 1_244, "ru": 1_219, "th": 852, "tr": 1_167,
    "vi": 1_209, "zh": 1_196,
}  # fmt: skip

register(
    Task(
        name="lareqa",
        version=1,
        family="dual_encoder",
        languages=XTREME_R.languages["lareqa"],
        metric="map@20",
        metrics=("map@20",),
        train_on="squad_retrieval",
        settings={"max_length": 256, "max_query_length": 96},
        splits=("test",),
        # No hub source: google-research-datasets/xquad_r has lost the sentence breaks. The files are those of
        # github.com/google-research-datasets/lareqa (CC BY-SA 4.0), which XTREME-R's script downloads.
        folder="lareqa",
        files="xquad_r",
        sizes={"test": 1_190, "candidates": sum(_CANDIDATES.values())},
        tokens_per_row=200.0,
        parallel=True,
    )
)
