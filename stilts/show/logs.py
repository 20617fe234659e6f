"""Displays the log of a stage: how its last attempt ended, why, and what each rank wrote last."""

import re
import time
from typing import Any

from rich.console import Console
from rich.text import Text

from stilts.ledger.logs import RankOutput, StageLog

_STYLES = {"done": "green", "running": "cyan", "failed": "red", "diverged": "red", "lost": "yellow"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
NO_OUTPUT = (
    "no output is stored. It is copied to the store while a stage runs and when an attempt fails, and removed when the "
    "stage is done"
)


def show_log(log: StageLog, console: Console) -> None:
    """Print the state of the stage, the reason of its last failure, and the last lines of each rank."""
    line = Text(f"{log.stage}: ", style="bold")
    line.append(log.status, style=_STYLES.get(log.status, ""))
    line.append(f" on {log.detail}" if log.detail else "", style="")
    _print(console, line)
    _show_ending(log.ending, console, running=log.status == "running")
    if not log.ranks:
        _print(console, Text(NO_OUTPUT, style="dim"))
    for output in log.ranks:
        _print(console, Text(f"\n{_where(output)}", style="bold"))
        _print(console, _plain(output.text.rstrip("\n") or "(nothing)"))
    if len(log.attempts) > 1:
        listed = ", ".join(str(attempt) for attempt in log.attempts)
        _print(console, Text(f"\noutput of attempts {listed} is stored; choose with --attempt", style="dim"))


def _show_ending(ending: dict[str, Any], console: Console, running: bool) -> None:
    if not ending:
        return
    facts = [f"attempt {ending['attempt']}" if ending.get("attempt") else "the last attempt"]
    facts[0] = f"an earlier attempt, number {ending['attempt']}," if running and ending.get("attempt") else facts[0]
    ended = f"{facts[0]} ended at {_moment(ending.get('time'))}"
    cause = f", cause: {ending['cause']}" if ending.get("cause") else ""
    again = f", {ending['again']}" if ending.get("again") else ""
    _print(console, Text(f"{ended}{_place(ending)}{cause}{again}"))
    _print(console, _plain(ending["error"], "red"))
    if ending.get("traceback"):
        _print(console, _plain(ending["traceback"].rstrip("\n")))


def _where(output: RankOutput) -> str:
    facts = output.facts
    attempt = f"attempt {output.attempt}" if output.attempt else "before the attempt had the lease"
    node = f", Ray node {facts['ray_node']}" if facts.get("ray_node") else ""
    times = f", started {_moment(facts.get('started'))}, last lines of {_moment(facts.get('written'))}"
    return f"rank {output.rank}, {attempt}{_place(facts)}{node}{times}"


def _place(facts: dict[str, Any]) -> str:
    pid = f" (process {facts['pid']})" if facts.get("pid") else ""
    return f" on {facts['node']}{pid}" if facts.get("node") else pid


def _moment(seconds: Any) -> str:
    known = isinstance(seconds, int | float) and 0 < seconds < 1e11
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if known else "an unknown time"


def _plain(text: str, style: str = "") -> Text:
    """Text as it was stored, with control characters shown and not sent to the terminal."""
    return Text(_CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", str(text)), style=style)


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True, highlight=False)
