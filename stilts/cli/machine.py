"""doctor, watch: the machine on which stilts runs."""

import logging
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from stilts.cli.base import Json, console, print_json


def doctor(
    store: Annotated[
        str | None, typer.Option(help="Store to which experiments will write; default: that of FILE, or stilts-store.")
    ] = None,
    experiment: Annotated[
        Path | None,
        typer.Option("--experiment", "-e", metavar="FILE", help="YAML file of an experiment or a search to check for."),
    ] = None,
    study: Annotated[
        str | None, typer.Option(metavar="URL", help="Database of a study; default: that of the search in FILE.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check this machine and what runs reach: versions, GPUs, memory, disks, ports, store, Ray cluster, study and hub.

    The Ray cluster is that at RAY_ADDRESS. Nothing is left in the store. The exit code is 1 if a check failed.
    """
    from stilts.monitor.doctor import diagnose, to_json

    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    if experiment is not None:
        declared_store, declared_study = _declared(experiment)
        store, study = store or declared_store, study or declared_study
    findings = diagnose(store or "stilts-store", os.environ.get("RAY_ADDRESS"), study)
    if as_json:
        print_json(to_json(findings))
    else:
        colour = {"ok": "green", "warning": "yellow", "failed": "red"}
        table = Table("check", "state", "found", box=None, header_style="bold")
        for finding in findings:
            said = escape(finding.found) + (f"\n[bold]->[/] {escape(finding.remedy)}" if finding.remedy else "")
            table.add_row(finding.check, f"[{colour[finding.state]}]{finding.state}[/]", said)
        console().print(table)
    if any(finding.state == "failed" for finding in findings):
        raise typer.Exit(1)


def _declared(path: Path) -> tuple[str, str | None]:
    """The store of an experiment or a search, and the database of the search's study, if it names one."""
    from stilts.experiment.document import Document, parse_file
    from stilts.experiment.load import load_experiment, load_tuning

    if "search" not in parse_file(path, Document(str(path))):
        return load_experiment(path).store, None
    tuning = load_tuning(path)
    return tuning.store, tuning.search.study


def watch(
    cloud: Annotated[
        str, typer.Option(help="auto, aws, gcp, or package.module:function that returns a preemption notice.")
    ] = ("auto"),
    address: Annotated[str, typer.Option(help="Address of the Ray cluster; auto: that of this machine.")] = "auto",
    node: Annotated[str, typer.Option(help="Id of the Ray node to drain; here: those of this machine.")] = "here",
    every: Annotated[float, typer.Option(help="Seconds between two requests to the cloud.")] = 5.0,
    drain_on_rebalance: Annotated[
        bool,
        typer.Option(
            "--drain-on-rebalance", help="Drain on AWS's rebalance recommendation, too, which may come earlier."
        ),
    ] = False,
) -> None:
    """Drain this spot machine when the cloud announces its preemption. Start it on every node."""
    from stilts.run.cluster.watch import watch

    watch(cloud, address, node, every, drain_on_rebalance)
