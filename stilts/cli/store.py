"""clean: what no experiment of a store needs."""

import sys
from typing import Annotated

import typer

from stilts.cli.base import Json, console, print_json


def clean(
    store: Annotated[str, typer.Option(help="Store to clean.")] = "stilts-store",
    forget: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="Drop the declaration of an experiment or a search, NAME or NAME/DIGEST, and what only it needs.",
        ),
    ] = [],
    cache: Annotated[bool, typer.Option("--cache", help="Clear this machine's cache of bucket files instead.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False,
    as_json: Json = False,
) -> None:
    """List what no experiment of a store needs, and remove it after confirmation.

    It can run beside any number of runs and searches, and removes nothing that one of them needs.
    """
    from stilts.errors import sized
    from stilts.ledger.clean import clean as remove
    from stilts.ledger.garbage import find_garbage
    from stilts.show.cleaning import show_findings, to_json
    from stilts.storage.open import open_store

    if cache:
        _clean_cache(yes, as_json)
        return
    opened = open_store(store)
    found = find_garbage(opened, forget)
    if not as_json:
        show_findings(found, console())
    something = bool(found.items or found.forgotten)
    removed = None
    if something and (yes or (not as_json and _confirmed(f"remove this ({sized(found.bytes)})?"))):
        removed = remove(opened, found.items, forget, lambda who: None)
    if as_json:
        print_json(to_json(found, removed))
    elif removed is not None:
        typer.echo(f"{len(removed)} of {len(found.items)} removed, {sized(sum(item.bytes for item in removed))} freed")
    elif something:
        typer.echo("nothing was removed; -y removes it without a question")


def _clean_cache(yes: bool, as_json: bool) -> None:
    from stilts.errors import sized
    from stilts.storage.cache import Cache

    cache = Cache()
    idle = cache.idle()
    if not as_json:
        typer.echo(f"{cache.root}: {len(idle)} copies and scratch folders, {sized(sum(idle.values()))}")
    removed = None
    if idle and (yes or (not as_json and _confirmed("remove those that nobody uses?"))):
        removed = [folder for folder in idle if cache.evict(folder)]
    if as_json:
        items = {str(folder): size for folder, size in idle.items()}
        print_json({"cache": str(cache.root), "items": items, "removed": removed and [str(f) for f in removed]})
    elif removed is not None:
        size = sized(sum(idle[folder] for folder in removed))
        typer.echo(f"{len(removed)} of {len(idle)} removed, {size} freed; the rest is in use")
    elif idle:
        typer.echo("nothing was removed; -y removes it without a question")


def _confirmed(question: str) -> bool:
    """Whether a person says yes; nobody is asked in a pipe."""
    return sys.stdin.isatty() and sys.stdout.isatty() and typer.confirm(question)
