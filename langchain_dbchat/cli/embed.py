"""``dbchat embed``: embed a column of a file, and go on after an interruption.

Rule 1. Rows are saved after each slice of them, beside the output (`SavedRows`). The same command, run again, asks only
for rows that are not saved. What was saved is removed when the output has been written.
Rule 2. A text that the endpoint refuses does not stop the others; anything else that goes wrong ends the run.
Rule 3. The output is written when every row that has a text has an embedding.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_dbchat.cli.connection import add_connection, connection_settings, resolve_auth
from langchain_dbchat.cli.exit_codes import ExitCode, UsageError, exit_code_of
from langchain_dbchat.cli.output import error_line, explain
from langchain_dbchat.errors import DatabricksError, EmbeddingsIncompleteError

if TYPE_CHECKING:
    import argparse

    from rich.progress import Progress

    from langchain_dbchat.cli.embed_files import SavedRows, TextTable
    from langchain_dbchat.embeddings import DatabricksEmbeddings

__all__ = ["add_arguments", "embed"]

_ROUNDS = 2  # requests of each connection for a slice
_SETTINGS = ("model", "dimensions", "normalize", "too_long")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``dbchat embed`` to a parser."""
    parser.add_argument("input", help="a .parquet, .csv or .jsonl file, or a folder of Parquet files")
    parser.add_argument("output", help="the Parquet file to write")
    parser.add_argument("--column", metavar="NAME", help="the column with the text (default: text, or the only one)")
    parser.add_argument("--as", dest="name", default="embedding", metavar="NAME", help="the new column's name")
    parser.add_argument("--model", metavar="NAME", help="the endpoint (default: DATABRICKS_EMBEDDING_MODEL)")
    parser.add_argument("--dimensions", type=int, metavar="N", help="length of a row, where the model has a choice")
    parser.add_argument("--normalize", action="store_true", help="scale rows to length 1")
    parser.add_argument("--cut", action="store_true", help="cut texts that are longer than the model reads")
    parser.add_argument("--json", action="store_true", help="print the numbers of rows as JSON")
    add_connection(parser)


def embed(options: argparse.Namespace) -> int:
    """Embed a column of a Parquet, CSV or JSON Lines file."""
    try:
        from langchain_dbchat.cli.embed_files import SavedRows, TextTable  # noqa: PLC0415  # loads pyarrow
    except ImportError as error:
        raise UsageError(
            'dbchat embed needs the extra "parquet". Install it: pip install "langchain-dbchat[cli,parquet]"'
        ) from error
    resolve_auth(options)
    embeddings = _embeddings(options)
    size = embeddings.batch_size * embeddings.max_concurrency * _ROUNDS
    table = TextTable(Path(options.input), options.column, options.name, size)
    made_with = {name: getattr(embeddings, name) for name in _SETTINGS}
    saved = SavedRows(Path(options.output), json.dumps(made_with))
    run = _Run(embeddings, table, saved)
    code = _embed_all(run)
    if code == ExitCode.OK:
        saved.join_to(table)
        _report(run, options.output, as_json=options.json)
    elif not run.how_to_go_on:
        saved.remove()
    return code


def _embed_all(run: _Run) -> ExitCode:
    """Embed all rows, or print what is wrong and how to go on."""
    try:
        run.embed_all()
    except KeyboardInterrupt:
        error_line(f"Stopped. {run.how_to_go_on}")
        return ExitCode.INTERRUPTED
    except DatabricksError as error:
        error_line(error, run.how_to_go_on)
        return exit_code_of(error)
    if run.failures:
        row, failure = next(iter(run.failures.items()))
        why = explain(failure) if isinstance(failure, DatabricksError) else failure
        number = f"{len(run.failures):,} of the texts cannot be embedded; the first is in row {row}, counted from 0"
        error_line(f"{number}: {why} {run.how_to_go_on}")
        return ExitCode.FAILED
    return ExitCode.OK


class _Run:
    """Embeds the rows of a table that are not saved yet.

    Args:
        embeddings: The model.
        table: The rows.
        saved: The rows that are done.
    """

    def __init__(self, embeddings: DatabricksEmbeddings, table: TextTable, saved: SavedRows) -> None:
        self._embeddings = embeddings
        self._table = table
        self._saved = saved
        self.asked = 0
        """How many rows this run has embedded."""
        self.kept = 0
        """How many rows an earlier run had embedded."""
        self.failures: dict[int, Exception] = {}
        """The errors of texts that the endpoint refuses, by row."""

    @property
    def how_to_go_on(self) -> str:
        """Return what is saved, and how to go on; an empty text if nothing is."""
        done = self.asked + self.kept
        if not done:
            return ""
        rows = f"{done:,} of {self._table.count:,} rows"
        return f"{rows} are saved in {self._saved.folder}; run the command again to go on."

    def embed_all(self) -> None:
        """Embed slice after slice, and save each of them."""
        with _progress() as progress:
            bar = progress.add_task("rows", total=self._table.count)
            for number, texts in enumerate(self._table.slices_of_text()):
                missing = self._saved.missing(number, texts)
                self.kept += sum(text is not None for text in texts) - len(missing)
                if missing:
                    self._embed(number, {place: texts[place] or "" for place in missing})
                progress.advance(bar, len(texts))

    def _embed(self, number: int, texts: dict[int, str]) -> None:
        """Embed texts of a slice, and save what has come, even if the rest fails."""
        failures: dict[int, Exception] = {}
        stopped: DatabricksError | None = None
        try:
            rows = self._embeddings.embed_documents_or_none(texts.values(), failures)
        except EmbeddingsIncompleteError as error:
            stopped, rows = error, error.rows
        self.asked += sum(row is not None for row in rows)
        self._saved.add(number, dict(zip(texts, rows, strict=True)))
        if stopped is not None:
            raise stopped.__cause__ if isinstance(stopped.__cause__, DatabricksError) else stopped
        places = list(texts)
        self.failures |= {number * self._table.size + places[at]: error for at, error in failures.items()}


def _embeddings(options: argparse.Namespace) -> DatabricksEmbeddings:
    from langchain_dbchat.embeddings import DatabricksEmbeddings  # noqa: PLC0415  # `dbchat --help` does not need it

    settings = connection_settings(options)
    if options.model:
        settings["model"] = options.model
    if options.dimensions is not None:
        settings["dimensions"] = options.dimensions
    return DatabricksEmbeddings(**settings, normalize=options.normalize, too_long="cut" if options.cut else "raise")


def _progress() -> Progress:
    """Return a progress bar on the standard error, which is not drawn where that is not a terminal."""
    from rich.console import Console  # noqa: PLC0415  # `dbchat --help` does not need it
    from rich.progress import (  # noqa: PLC0415  # the same
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _report(run: _Run, output: str, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"output": output, "embedded": run.asked, "kept": run.kept}) + "\n")
        return
    earlier = f", {run.kept:,} were done before" if run.kept else ""
    sys.stdout.write(f"{output}: {run.asked:,} rows embedded{earlier}.\n")
