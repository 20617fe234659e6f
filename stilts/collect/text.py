"""Text of numbers and names, as Markdown and LaTeX want them."""

import re

from stilts.collect.statistics.spread import Spread


def number(spread: Spread, sign: str = "") -> str:
    """`71.3 ±0.8`; the deviation of one observation is `-`."""
    return f"{spread.mean:{sign}.1f} ±{'-' if spread.sd is None else f'{spread.sd:.1f}'}"


def escape_markdown(text: str) -> str:
    return re.sub(r"([\\|*`<\[])", r"\\\1", text)


_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$", **{c: f"\\{c}" for c in "&%$#_{}"},
}  # fmt: skip


def escape_latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
