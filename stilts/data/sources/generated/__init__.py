"""The generated corpus of the quickstart: texts and tasks in English and in invented languages.

`generate` writes the corpus in the layouts of the real data sets. The modules in their order: `lexicon` (English
words), `languages` (word order and bilingual lexicon of each language), `grammar` (sentences), `world` (random
statements), `corpus` (raw text), `tasks` (examples), `write` (files). Nothing was copied from elsewhere. The corpus
depends only on its declaration, and is the same on every machine.
"""

from stilts.data.sources.generated.write import VERSION, generate

__all__ = ["VERSION", "generate"]
