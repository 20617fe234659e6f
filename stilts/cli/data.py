"""data prepare, data verify: the data of an experiment in its store."""

import typer
from rich.progress import track

from stilts.cli.base import ExperimentFile, Json, Overrides, Patches, load, print_json, progress_console
from stilts.errors import Problems


def prepare(experiment: ExperimentFile, patches: Patches = [], overrides: Overrides = []) -> None:
    """Read all data of an experiment into its store, so that training needs no network."""
    from stilts.session import Session

    session = Session.of(load(experiment, overrides, patches))
    session.declare()
    session.prepare(lambda refs: track(refs, description="preparing", console=progress_console()))
    typer.echo(f"{len(session.data)} data files are ready in {session.store.uri}")


def verify(experiment: ExperimentFile, patches: Patches = [], overrides: Overrides = [], as_json: Json = False) -> None:
    """Read every data file of an experiment in the store, and check its rows and its digest."""
    from stilts.ledger.data import check_examples
    from stilts.session import Session

    session = Session.of(load(experiment, overrides, patches))
    rows = []
    for ref in track(session.data, description="verifying", console=progress_console()):
        problem = check_examples(session.store, ref)
        rows.append({"path": ref.path, "rows": ref.rows, "identity": ref.identity, "problem": problem})
    wrong = [row["problem"] for row in rows if row["problem"]]
    if as_json:
        print_json(rows)
    elif not wrong:
        typer.echo(f"{len(rows)} data files in {session.store.uri} are as they were read")
    if wrong:
        raise Problems([str(problem) for problem in wrong])
