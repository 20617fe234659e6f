"""XCOPA: COPA in eleven languages, a task of XTREME-R.

The model is trained on Social IQa and then on English COPA with a new head. XTREME-R's script keeps the head of Social
IQa, and the last weights of both stages (docs/differences.md).
"""

from stilts.tasks.base import HubSource, Task, register
from stilts.tasks.benchmarks import XTREME_R

register(
    Task(
        name="xcopa",
        version=1,
        family="multiple_choice",
        choices=2,
        languages=XTREME_R.languages["xcopa"],
        metric="accuracy",
        metrics=("accuracy",),
        train_on="copa",
        settings={"max_length": 128},
        hub=HubSource(
            id="cambridgeltl/xcopa",
            revision="042f78955ba48e6404616762fa6e05e839c3907a",
            config="{lang}",
            splits={"dev": "validation", "test": "test"},
            columns={"text_a": "premise", "question": "question", "choices": "choice1+choice2", "label": "label"},
        ),
        folder="xcopa",
        files="copa",
        sizes={"dev": 100, "test": 500},
        tokens_per_row=45.0,
        parallel=True,
    )
)
