"""The words `URL NAME` of a verb, read in one way by all of them."""

from __future__ import annotations

from typing import Annotated

import typer

import mendstore
from mendsearch.cli.common import existing_storage
from mendsearch.errors import UsageError

URL_HELP = (
    f"postgresql://… of the study database. Default: {mendstore.STORAGE_VARIABLE}, else the embedded database of this "
    f"folder."
)
NAME_HELP = "Name of the search. A single argument without :// is the name."
Url = Annotated[str | None, typer.Argument(metavar="URL", help=URL_HELP)]
Name = Annotated[str | None, typer.Argument(metavar="NAME", help=NAME_HELP)]


def url_and_name(verb: str, first: str | None, second: str | None) -> tuple[str | None, str | None]:
    """What was given of `URL NAME`; a single word is a URL if it holds `://`, else a name.

    Args:
        verb: the subcommand, for the message.
        first: first argument.
        second: second argument.

    Raises:
        UsageError: the second word is a URL.
    """
    if second is not None and "://" in second:
        raise UsageError(f"{verb}: got a URL in the place of the name; expected `mendsearch {verb} URL NAME`")
    if first is not None and second is None and "://" not in first:
        return None, first
    return first, second


def search_named(verb: str, first: str | None, second: str | None) -> tuple[str | None, str]:
    """As `url_and_name`, for a verb that needs a name.

    Raises:
        UsageError: there is no name.
    """
    url, name = url_and_name(verb, first, second)
    if name is None:
        raise UsageError(f"{verb}: got no name of a search; `{mendstore.command('status', url)}` lists them")
    return url, name


def existing_search(verb: str, first: str | None, second: str | None) -> tuple[str, str]:
    """As `search_named`, with the URL of the database completed and normalised.

    Raises:
        UsageError: there is no name, or no database to look in.
    """
    url, name = search_named(verb, first, second)
    return mendstore.normalised(existing_storage(verb, url)), name
