"""doctor, watch: the machine on which stilts runs."""

import logging
import os
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from stilts.cli.base import Json, console, print_json


def doctor(
    store: Annotated[str, typer.Option(help="Store to which experiments will write.")] = "stilts-store",
    as_json: Json = False,
) -> None:
    """Check the installation: versions, GPUs, DeepSpeed, disk, the store and Ray."""
    from stilts.monitor.doctor import diagnose, to_json

    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    findings = diagnose(store, os.environ.get("RAY_ADDRESS"))
    if as_json:
        print_json(to_json(findings))
    else:
        colour = {"ok": "green", "warning": "yellow", "failed": "red"}
        table = Table("check", "state", "found", box=None, header_style="bold")
        for finding in findings:
            table.add_row(finding.check, f"[{colour[finding.state]}]{finding.state}[/]", escape(finding.found))
        console().print(table)
    if any(finding.state == "failed" for finding in findings):
        raise typer.Exit(1)


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
