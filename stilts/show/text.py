"""Text of numbers and names, as Markdown and LaTeX want them."""

import re

from stilts.statistics.spread import Spread


def number(spread: Spread, sign: str = "") -> str:
    """`71.3 ±0.8`; the deviation of one observation is `-`."""
    return f"{spread.mean:{sign}.1f} ±{'-' if spread.sd is None else f'{spread.sd:.1f}'}"


def interval(low: float | None, high: float | None, sign: str = "", digits: int = 1) -> str:
    """`[70.3, 72.3]`, or nothing where there is none."""
    return "" if low is None or high is None else f"[{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def probability(p: float) -> str:
    """`p=0.23`, `p=0.041`, `p<0.001`: two digits that count."""
    return "p<0.001" if p < 0.001 else f"p={p:.3f}" if p < 0.1 else f"p={p:.2f}"


def escape_markdown(text: str) -> str:
    return re.sub(r"([\\|*`<\[])", r"\\\1", text)


_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$", "†": r"$\dagger$", **{c: f"\\{c}" for c in "&%$#_{}"},
}  # fmt: skip


def escape_latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
