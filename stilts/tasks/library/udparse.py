"""UD parsing: dependency trees of Universal Dependencies v2, from treebanks in CoNLL-U.

The relations are the 37 universal ones without subtypes, and punctuation counts, as in the LAS of the CoNLL 2018 shared
task. Any treebank can be trained on, and any treebank can be a target: `data.tasks.udparse.test:
treebanks/{lang}.conllu`.
"""

from stilts.tasks.base import Task, register, words
from stilts.tasks.recipes import xtreme_recipe

register(
    Task(
        name="udparse",
        version=1,
        family="parsing",
        # Languages of XLM-R and XTREME-R that have treebanks in Universal Dependencies, English first.
        languages=words(
            "en af am ar be bg br ca cs cy da de el es et eu fa fi fr ga gd gl he hi hr hu hy id is it ja ka kk ko la "
            "lt lv ml mr my nl no pl pt ro ru sa sk sl sq sr sv ta te th tl tr ug uk ur vi wo yo zh"
        ),
        # The parser relies on root being the first.
        labels=words(
            "root acl advcl advmod amod appos aux case cc ccomp clf compound conj cop csubj dep det discourse "
            "dislocated expl fixed flat goeswith iobj list mark nmod nsubj nummod obj obl orphan parataxis punct "
            "reparandum vocative xcomp"
        ),
        metric="las",
        metrics=("las", "uas"),
        train_on="udparse",
        # XTREME's recipe for UD-POS, which has the same treebanks.
        recipe=xtreme_recipe(learning_rate=2e-5, epochs=10),
        settings={"max_length": 128},
        licence=(
            "treebanks have licences of their own, so that no copy is downloaded: get them from "
            "universaldependencies.org and give their .conllu files"
        ),
        files="conllu",
        # UD English-EWT, from release 2.10 on.
        sizes={"train": 12_544, "dev": {"en": 2_001}, "test": {"en": 2_077}},
        tokens_per_row=22.0,
    )
)
