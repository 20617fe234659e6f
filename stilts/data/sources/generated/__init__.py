"""The generated corpus of the quickstart: invented languages with one world, one grammar and a bilingual lexicon.

`generate` writes it in the layouts of the real data sets, from words (`lexicon`), languages (`languages`), sentences
(`grammar`), what there is to say (`world`), raw text (`corpus`) and examples (`tasks`). Nothing in it was copied from
anywhere; it is a pure function of the declaration, the same on every machine.
"""

from stilts.data.sources.generated.write import VERSION, generate

__all__ = ["VERSION", "generate"]
