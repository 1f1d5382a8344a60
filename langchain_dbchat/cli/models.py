"""``dbchat models``: what a workspace or another server offers, as a table, as lines for programs, or as JSON.

Rule 1. At a terminal each endpoint has two lines, because the names alone fill half of 80 columns. In a pipe it has
one, with tabs between the columns and without a heading.
Rule 2. What is not known is left empty, and is null in JSON.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_dbchat.cli.connection import add_connection, connection_settings, resolve_auth
from langchain_dbchat.cli.exit_codes import ExitCode, exit_code_of
from langchain_dbchat.cli.output import error_line, explain
from langchain_dbchat.errors import DatabricksPermissionDeniedError

if TYPE_CHECKING:
    import argparse

    from langchain_dbchat.connection.listing import ListedEndpoint
    from langchain_dbchat.integrations.costs import PriceList

__all__ = ["add_arguments", "list_chat_models", "models"]

_SECONDS = 20.0
_EMBEDDINGS = "llm/v1/embeddings"
_CAPABILITIES = (
    ("tool_calling", "tools"),
    ("reasoning_output", "reasoning"),
    ("image_inputs", "images"),
    ("pdf_inputs", "PDF"),
    ("audio_inputs", "audio"),
    ("video_inputs", "video"),
    ("image_outputs", "image output"),
)
"""Fields of LangChain's model profile, and the words for them."""
_MILLION = 1_000_000
_NOT_LISTED = "An endpoint can be asked without a list of them, if you know its name: dbchat ask --model NAME."
_SOME = " dbchat models WORD shows some of them, such as those of one family."
_NONE = "There are no endpoints that you may see.\n"
_WIDEST_NAME, _CONTEXT, _PRICE, _NARROWEST, _GAP = 44, 7, 10, 12, 2  # columns


class _Offer(NamedTuple):
    """An endpoint, as it is shown."""

    name: str
    task: str
    family: str
    wires: tuple[str, ...]
    context: int | None
    capabilities: tuple[str, ...]
    dollars_in: float | None
    dollars_out: float | None
    is_ready: bool | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``dbchat models`` to a parser."""
    parser.add_argument("word", nargs="?", default="", help="show only those with this word in name, family or APIs")
    parser.add_argument("--services", action="store_true", help="show the model services of the AI gateway, too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_connection(parser, _SECONDS)


def models(options: argparse.Namespace) -> int:
    """List the endpoints: family, APIs, context, capabilities, price."""
    from langchain_dbchat.integrations.costs import published_prices  # noqa: PLC0415  # reads the prices

    prices = published_prices()
    word = options.word.casefold()
    try:
        listed = [_offer(one, prices) for one in _list(options, with_services=options.services)]
    except DatabricksPermissionDeniedError as error:
        error_line(str(explain(error)._replace(advice=_NOT_LISTED)))
        return exit_code_of(error)
    found = [one for one in listed if word in f"{one.name} {_label(one)}".casefold()]
    if options.json:
        sys.stdout.write(json.dumps([one._asdict() for one in found], indent=2, ensure_ascii=False) + "\n")
    elif not sys.stdout.isatty():
        sys.stdout.writelines("\t".join(_columns(one)) + "\n" for one in found)
    elif found:
        _draw(found)
        sys.stdout.write(f"{len(found)} of {len(listed)} endpoints.{'' if word else _SOME}\n")
    else:
        sys.stdout.write(
            f"None of {len(listed)} endpoints has {options.word!r} in its name, family or APIs.\n" if word else _NONE
        )
    return ExitCode.OK


def list_chat_models(options: argparse.Namespace) -> list[str]:
    """Return the names of the endpoints that are not for embeddings.

    Args:
        options: The options of the command line.

    Returns:
        The names, in the order of the server.

    Raises:
        NotSignedInError: If there is no host, or nobody is signed in.
        DatabricksError: If the server refuses or cannot be reached.
    """
    return [one.name for one in _list(options) if one.task != _EMBEDDINGS]


def _list(options: argparse.Namespace, *, with_services: bool = False) -> list[ListedEndpoint]:
    from langchain_dbchat.connection.listing import list_endpoints  # noqa: PLC0415  # `dbchat --help` does not need it

    resolve_auth(options)
    return list_endpoints(**connection_settings(options), model_services=with_services)


def _offer(listed: ListedEndpoint, prices: PriceList) -> _Offer:
    profile: Any = listed.profile or {}
    price = prices.find(listed.name)
    rate = prices.dollars_per_dbu  # a rate in DBU has three decimals, so dollars have no more
    return _Offer(
        listed.name,
        listed.task,
        listed.family,
        listed.wires,
        profile.get("max_input_tokens"),
        tuple(word for field, word in _CAPABILITIES if profile.get(field)),
        None if price is None else round(price.input * rate, 3),
        None if price is None else round(price.output * rate, 3),
        listed.is_ready,
    )


def _columns(offer: _Offer) -> tuple[str, ...]:
    """Return the columns of a line for programs."""
    numbers = (offer.context, offer.dollars_in, offer.dollars_out)
    context, dollars_in, dollars_out = ("" if number is None else f"{number:.12g}" for number in numbers)
    can = ",".join(offer.capabilities)
    return offer.name, offer.task, offer.family, ",".join(offer.wires), context, can, dollars_in, dollars_out


def _draw(offers: list[_Offer]) -> None:
    """Draw the table."""
    from rich.table import Table  # noqa: PLC0415  # only a terminal needs it
    from rich.text import Text  # noqa: PLC0415  # the same

    from langchain_dbchat.cli.answer_view import terminal_console  # noqa: PLC0415  # the same

    console = terminal_console()
    labels = [(one.name, f"  {_label(one)}") for one in offers]
    name_columns = min(max(len(line) for label in labels for line in label), _WIDEST_NAME)
    rest = console.width - sum((name_columns, _CONTEXT, _PRICE)) - 3 * _GAP
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    table.add_column("endpoint", overflow="fold", width=name_columns)
    table.add_column("context", justify="right", width=_CONTEXT)
    table.add_column("capabilities", width=max(rest, _NARROWEST))
    table.add_column("$ per 1M\ntokens", width=_PRICE)
    for one, (name, label) in zip(offers, labels, strict=True):
        shown = Text(name).append(f"\n{label}", style="dim")
        table.add_row(shown, _tokens(one.context), ", ".join(one.capabilities), _price(one))
    console.print(table)


def _label(offer: _Offer) -> str:
    """Return the line under a name: the family, and what answers."""
    kind = "embeddings" if offer.task == _EMBEDDINGS else ", ".join(offer.wires)
    state = "not ready; " if offer.is_ready is False else ""
    return f"{state}{offer.family}{f': {kind}' if kind else ''}"


def _tokens(number: int | None) -> str:
    if number is None:
        return ""
    return f"{number / _MILLION:.3g}M" if number >= _MILLION else f"{number // 1000}k"


def _price(offer: _Offer) -> str:
    if offer.dollars_in is None:
        return ""
    shown = f"{offer.dollars_in:.2f} in"
    return f"{shown}\n{offer.dollars_out:.2f} out" if offer.dollars_out else shown
