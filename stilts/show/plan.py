"""Displays a plan, or the result of its simulation, in a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from stilts.errors import counted, sized
from stilts.plan.cost.estimate import hours_unit
from stilts.plan.cost.price import priced
from stilts.plan.summary import Plan, stage_rows

_ROWS = 40
"""Largest number of stages listed in a terminal; `--json` lists all."""


def show_plan(plan: Plan, console: Console) -> None:
    """Print the figures of a plan and its stages."""
    figures, unit = plan.figures, _unit(plan)
    console.print(
        f"[bold]{figures['experiment']}[/]: {figures['cells']} cells, {figures['stages']} stages "
        f"({figures['shared']} shared; {figures['unshared']} trainings without sharing)"
    )
    again = f" ({figures['to_train_again']} again: their weights were not kept)" if figures["to_train_again"] else ""
    console.print(
        f"  done {figures['done']}   to train [bold]{figures['to_train']}[/]{again}   "
        f"evaluations missing {figures['evaluations_missing']} of {figures['evaluations']}"
    )
    console.print(
        f"  {figures['examples']:,} examples, {figures['tokens']:,} tokens, "
        f"[bold]{figures['gpu_hours']:,.2f} {unit}[/] ({figures['speed']['source']})"
    )
    size = figures["bytes"]
    console.print(f"  disk: {sized(size['peak'])} at the peak, {sized(size['end'])} at the end")
    dropped = figures["stages"] - figures["keeps_weights"]
    console.print(
        f"  weights (runtime.keep: {figures['keep']}): kept of {counted(figures['keeps_weights'], 'stage')}, dropped "
        f"of {dropped} once nothing needs them"
    )
    _show_memory(figures["memory"], console)
    _show_price(plan, console)
    _show_models(figures, console)
    for lost in figures["left_out"]:
        languages = ", ".join(lost["languages"])
        console.print(f"  [yellow]{lost['target']}: no {lost['split']} data, left out: {languages}[/]")
    doubtful = [f"{pin['id']}@{pin['revision'][:12]}" for pin in figures["pins"] if not pin["known"]]
    if doubtful:
        console.print(f"  [yellow]not known to load: {', '.join(doubtful)}[/]")
    for odd in figures["unlike"]:
        console.print(
            f"  [yellow]{odd['task']} in {odd['language']} from {odd['source']} is not the benchmark's: {odd['why']}; "
            f"give files as data.xtreme or data.tasks.{odd['task']}[/]"
        )
    if figures["unknown"]:
        console.print(f"  [yellow]too low, not known: {', '.join(figures['unknown'])}[/]")
    show_notes(figures["notes"], console)
    console.print(_stages(plan))


def _show_memory(memory: dict[str, Any], console: Console) -> None:
    if memory["rank"]:
        auto = " (auto: fewer where memory is short)" if memory["auto"] else ""
        console.print(
            f"  memory: a rank holds up to {sized(memory['rank'])} of its machine; micro-batches of at most "
            f"{memory['tokens']:,} tokens{auto}"
        )


def _unit(plan: Plan) -> str:
    experiment = plan.expansion.experiment
    return hours_unit(experiment.runtime, experiment.cluster)


def show_notes(notes: Sequence[str], console: Console) -> None:
    """Print the notes that `stilts.plan.notes` found, one per line."""
    for note in notes:
        console.print(Text(f"  note: {note}", style="yellow"), soft_wrap=True)


def _show_models(figures: dict[str, Any], console: Console) -> None:
    """Which hub models are known to load; the notes name the others."""
    known = [f"{model['hub']}@{model['revision'][:12]}" for model in figures["models"] if model["known_to_load"]]
    if known:
        console.print(f"  hub models known to hold safetensors: {', '.join(known)}", soft_wrap=True)


def _show_price(plan: Plan, console: Console) -> None:
    found = priced(plan)
    if found is None:
        return
    currency, unit = found["currency"], _unit(plan)
    console.print(
        f"  cost: [bold]{found['cost']:,.2f} {currency}[/] expected, for {found['gpu_hours']:,.2f} {unit}; of these "
        f"{found['lost_gpu_hours']:,.2f} are lost to {found['interruptions']:,.1f} interruptions; "
        f"{found['hours_at_least']:,.2f} hours at least"
    )
    alone = found["by_node_type"]
    for name, one in alone.items() if len(alone) > 1 else ():
        console.print(f"    all on {name}: {one['cost']:,.2f} {currency}, {one['lost_gpu_hours']:,.2f} {unit} lost")


def _stages(plan: Plan) -> Table | Group:
    rows = stage_rows(plan)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage", no_wrap=True)
    table.add_column("to do")
    for column in ("cells", "evaluations", "examples", "tokens", _unit(plan)):
        table.add_column(column, justify="right")
    for row in rows[:_ROWS]:
        figures = (f"{row['cells']}", f"{row['evaluations']}", f"{row['examples']:,}", f"{row['tokens']:,}")
        table.add_row(row["name"], row["state"], *figures, f"{row['gpu_hours']:.3f}")
    if len(rows) <= _ROWS:
        return table
    return Group(table, Text(f"... and {len(rows) - _ROWS} more (--json lists all)", style="dim"))


_FIGURES = {
    "hours": ("hours", ".2f"),
    "cost": ("cost ({currency})", ",.2f"),
    "utilisation": ("utilisation", ".1%"),
    "gpu_hours": ("{unit}", ",.2f"),
    "lost_gpu_hours": ("lost {unit}", ",.2f"),
    "interruptions": ("interruptions", ",.1f"),
    "nodes": ("nodes at once", ",.1f"),
    "not_done": ("stages not done", ",.1f"),
}


def show_simulation(found: dict[str, Any], console: Console, unit: str = "GPU-hours") -> None:
    """Print the figures of a simulation: mean, least and most over its seeds.

    Args:
        unit: what hours are counted in, as `hours_unit` returns it.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("simulated")
    for column in ("mean", "least", "most"):
        table.add_column(column, justify="right")
    for name, (label, form) in _FIGURES.items():
        if name != "not_done" or found[name]["most"]:
            row = label.format(currency=found["currency"], unit=unit)
            table.add_row(row, *(format(found[name][column], form) for column in ("mean", "least", "most")))
    least, mean = found["hours_at_least"], found["hours"]["mean"]
    runs = "1 run" if found["seeds"] == 1 else f"{found['seeds']} runs, in which chance takes nodes at other moments"
    console.print(table)
    console.print(f"[dim]{runs}; no run takes less than {least:.2f} hours: {least / (mean or 1):.1%} of the mean[/]")


_COMPARED = {
    "ranks": ("ranks", ",d"),
    "zero_stage": ("ZeRO", "d"),
    "gpu_hours": ("rank-hours", ",.2f"),
    "longest_stage_hours": ("longest stage (h)", ",.2f"),
    "hours_at_least": ("hours at least", ",.2f"),
    "cost": ("cost ({currency})", ",.2f"),
    "simulated_hours": ("simulated hours", ",.2f"),
    "simulated_cost": ("simulated cost", ",.2f"),
}


def show_compared(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Print the rows of `plan.cost.compare.compared` beside each other, one column per plan.

    A rank-hour is an hour of one GPU, or of one CPU rank.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("compared")
    for row in rows:
        table.add_column(row["name"], justify="right")
    for name, (label, form) in _COMPARED.items():
        if any(name in row for row in rows):
            currency = next((row["currency"] for row in rows if "currency" in row), "")
            cells = (format(row[name], form) if name in row else "" for row in rows)
            table.add_row(label.format(currency=currency), *cells)
    console.print(table)
