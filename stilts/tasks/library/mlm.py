"""MLM: masked language modelling on raw sentences, as continued pretraining or beside another task."""

from stilts.tasks.base import Task, register, words

register(
    Task(
        name="mlm",
        version=1,
        family="mlm",
        # The languages that XLM-R was pretrained on, and those of XTREME and XTREME-R that it was not: yo qu wo ht.
        languages=words(
            "en af am ar as az be bg bn br bs ca cs cy da de el eo es et eu fa fi fr fy ga gd gl gu ha he hi hr hu hy "
            "id is it ja jv ka kk km kn ko ku ky la lo lt lv mg mk ml mn mr ms my ne nl no om or pa pl ps pt ro ru sa "
            "sd si sk sl so sq sr su sv sw ta te th tl tr ug uk ur uz vi xh yi yo zh qu wo ht"
        ),
        metric="loss",
        metrics=("loss",),
        train_on="mlm",
        # Masking and the language exponent are XLM-R's; the rest is a modest continuation, to be set per experiment.
        recipe={
            "learning_rate": 5e-5,
            "epochs": None,
            "max_steps": 10_000,
            "max_length": 128,
            "batch_size": 128,
            "warmup": 0.06,
            "weight_decay": 0.01,
            "mlm_probability": 0.15,
            "language_exponent": 0.3,
            "selection": "last",
        },
        settings={"max_length": 128},
        splits=(),
        files="text",
        tokens_per_row=30.0,
    )
)
