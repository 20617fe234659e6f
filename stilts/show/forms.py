"""The frame of a table in each form that goes to a file; its cells are text already."""

import csv
import io
from collections.abc import Sequence

import pyarrow as pa

from stilts.show.text import escape_latex, escape_markdown

NEEDS = "% Needs \\usepackage{booktabs,graphicx}."
"""First line of a file of LaTeX tables."""


def to_csv(table: pa.Table) -> str:
    """Every row in full; what is not there is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, table.column_names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.to_pylist())
    return text.getvalue()


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], names: int) -> list[str]:
    """Lines of a table. The first `names` columns are names, to be escaped; the others are written as they are."""
    lines = [
        "| " + " | ".join(map(escape_markdown, header)) + " |",
        "|---" * names + "|---:" * (len(header) - names) + "|",
    ]
    return lines + ["| " + " | ".join([*map(escape_markdown, row[:names]), *row[names:]]) + " |" for row in rows]


def latex_table(header: Sequence[str], rows: Sequence[Sequence[str]], names: int, caption: str) -> str:
    """A float as wide as the text at most. Header, names and caption are escaped; other cells are LaTeX already."""
    lines = ["\\begin{table*}[t]", "\\centering\\small", "\\setlength{\\tabcolsep}{3pt}"]
    lines.append(r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%")
    lines += [f"\\begin{{tabular}}{{{'l' * names}{'r' * (len(header) - names)}}}", "\\toprule"]
    lines += [" & ".join(map(escape_latex, header)) + r" \\", "\\midrule"]
    lines += [" & ".join([*map(escape_latex, row[:names]), *row[names:]]) + r" \\" for row in rows]
    lines += ["\\bottomrule", "\\end{tabular}}", f"\\caption{{{escape_latex(caption)}}}", "\\end{table*}", ""]
    return "\n".join(lines)
