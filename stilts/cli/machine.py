"""doctor, watch: the machine that stilts runs on."""

import logging
import os
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from stilts.cli.base import Json, console, print_json


def doctor(
    store: Annotated[str, typer.Option(help="Store that experiments will write to.")] = "stilts-store",
    as_json: Json = False,
) -> None:
    """Check versions, GPUs, DeepSpeed, disk, the store and Ray."""
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
    cloud: Annotated[str, typer.Option(help="auto, aws, gcp, or package.module:function that returns a notice.")] = (
        "auto"
    ),
    address: Annotated[str, typer.Option(help="Ray cluster; auto: the one that this machine belongs to.")] = "auto",
    node: Annotated[str, typer.Option(help="Ray node to drain, by its id; here: those of this machine.")] = "here",
    every: Annotated[float, typer.Option(help="Seconds between questions to the cloud.")] = 5.0,
    drain_on_rebalance: Annotated[
        bool, typer.Option("--drain-on-rebalance", help="Drain on AWS's recommendation too, which may come earlier.")
    ] = False,
) -> None:
    """Watch the cloud for the end of this spot machine, and have trials leave it in time. Runs on every node."""
    from stilts.run.cluster.watch import watch

    watch(cloud, address, node, every, drain_on_rebalance)
