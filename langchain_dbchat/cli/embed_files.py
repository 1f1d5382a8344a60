"""The files of ``dbchat embed``: the table that is read, the rows that are saved on the way, the table that is written.

Rule 1. Tables are read slice by slice (pyarrow.dataset), so a file may be larger than the memory.
Rule 2. A saved row counts only for the same text at the same place, made with the same model and settings.
Rule 3. Each file is written under another name and then renamed, so an interruption leaves no half of a file.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import csv

from langchain_dbchat.cli.exit_codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    Row = list[float] | None
    """A row of numbers; None where there is none."""

__all__ = ["SavedRows", "TextTable"]

_CSV = ds.CsvFileFormat(parse_options=csv.ParseOptions(newlines_in_values=True))
_FORMATS = {".parquet": "parquet", ".csv": _CSV, ".jsonl": "json", ".ndjson": "json", "": "parquet"}
_VECTOR = pa.list_(pa.float32())
_SAVED = pa.schema([("text", pa.string()), ("row", _VECTOR)])
_MADE_WITH = b"dbchat"


class TextTable:
    """A table with a column of texts.

    Args:
        path: A file, or a folder of Parquet files.
        column: The column with the texts; None for ``text``, or else the only column of texts.
        name: The column that will be added.
        size: How many rows a slice has.

    Raises:
        UsageError: If there is no such file or column, or if there is a column of that name already.
    """

    def __init__(self, path: Path, column: str | None, name: str, size: int) -> None:
        format_ = _FORMATS.get(path.suffix.lower())
        if format_ is None:
            raise UsageError(f"{path} is none of .parquet, .csv and .jsonl.")
        if not path.exists():
            raise UsageError(f"{path} does not exist.")
        try:
            self._data = ds.dataset(str(path), format=format_)
            self.count: int = self._data.count_rows()
        except (pa.ArrowException, OSError) as error:
            raise UsageError(f"{path} cannot be read: {error}") from error
        if name in self._data.schema.names:
            raise UsageError(f"{path} has a column {name!r} already. Name the new one with --as.")
        self._column = self._text_column(column)
        self.name = name
        """The column that will be added."""
        self.size = size
        """How many rows a slice has."""

    @property
    def schema(self) -> pa.Schema:
        """Return the columns, with the one that will be added."""
        return self._data.schema.append(pa.field(self.name, _VECTOR))

    def slices(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Yield the table, slice by slice; the last one may have fewer rows.

        Args:
            columns: Which columns; None for all.
        """
        waiting = None
        for batch in self._data.to_batches(columns=columns, batch_size=self.size):
            more = pa.Table.from_batches([batch])
            waiting = more if waiting is None else pa.concat_tables([waiting, more])
            while waiting.num_rows >= self.size:
                yield waiting.slice(0, self.size)
                waiting = waiting.slice(self.size)
        if waiting is not None and waiting.num_rows:
            yield waiting

    def slices_of_text(self) -> Iterator[list[str | None]]:
        """Yield the texts, slice by slice; None for a row without one."""
        for part in self.slices([self._column]):
            yield part.column(0).cast(pa.string()).to_pylist()

    def _text_column(self, wanted: str | None) -> str:
        schema = self._data.schema
        texts = [field.name for field in schema if _is_text(field.type)]
        if wanted is None:
            found = "text" if "text" in texts else texts[0] if len(texts) == 1 else None
        else:
            found = wanted if wanted in schema.names else None
        if found is None:
            missing = "Which column has the text?" if wanted is None else f"There is no column {wanted!r}."
            raise UsageError(f"{missing} Give --column with one of: {', '.join(texts) or 'none is a text'}.")
        if found not in texts:
            raise UsageError(f"The column {found!r} has {schema.field(found).type}, not text.")
        return found


class SavedRows:
    """The embeddings of the slices that are done, in a folder beside the output.

    Args:
        output: The file that will be written at the end.
        made_with: The model and its settings.

    Raises:
        UsageError: If the output exists, or cannot be written.
    """

    def __init__(self, output: Path, made_with: str) -> None:
        if output.exists():
            raise UsageError(f"{output} exists already. Remove it, or give another name.")
        if output.suffix.lower() != ".parquet":
            raise UsageError(f"{output}: the output is a Parquet file; give a name that ends with .parquet.")
        self.folder = output.with_name(f"{output.name}.rows")
        """Where the rows are saved."""
        self._output = output
        self._schema = _SAVED.with_metadata({_MADE_WITH: made_with.encode()})
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UsageError(f"{output} cannot be written: {error.strerror}.") from error

    def missing(self, number: int, texts: Sequence[str | None]) -> list[int]:
        """Return the places of the texts of a slice that have no saved row.

        Args:
            number: The number of the slice.
            texts: Its texts; None for a row without one.
        """
        saved = self._read(number)
        if saved is None or saved["text"].to_pylist() != texts:
            found = {} if saved is None else dict(enumerate(zip(*map(_values, saved.columns), strict=True)))
            pairs = (found.get(place, (None, None)) for place in range(len(texts)))
            rows = [row if was == text else None for (was, row), text in zip(pairs, texts, strict=True)]
            saved = self._write(number, texts, rows)
        is_there = saved["row"].is_valid().to_pylist()
        return [place for place, text in enumerate(texts) if text is not None and not is_there[place]]

    def add(self, number: int, rows: Mapping[int, Row]) -> None:
        """Save rows of a slice.

        Args:
            number: The number of the slice.
            rows: The rows by their places; None where there is none.
        """
        texts, saved = map(_values, pq.read_table(self._path(number)).columns)
        self._write(number, texts, [rows.get(place, row) for place, row in enumerate(saved)])

    def join_to(self, table: TextTable) -> None:
        """Write the output, and remove what was saved.

        Args:
            table: The rows that were embedded.
        """
        new = self.folder / "output"
        with pq.ParquetWriter(str(new), table.schema) as writer:
            for number, part in enumerate(table.slices()):
                writer.write_table(part.append_column(table.name, pq.read_table(self._path(number))["row"]))
        new.replace(self._output)
        self.remove()

    def remove(self) -> None:
        """Remove what was saved."""
        shutil.rmtree(self.folder)

    def _read(self, number: int) -> pa.Table | None:
        """Return what is saved of a slice, if it was made with the same model and settings."""
        path = self._path(number)
        saved = pq.read_table(path) if path.exists() else None
        return saved if saved is not None and saved.schema.metadata == self._schema.metadata else None

    def _write(self, number: int, texts: Sequence[str | None], rows: Sequence[Row]) -> pa.Table:
        table = pa.table([pa.array(texts, pa.string()), pa.array(rows, _VECTOR)], schema=self._schema)
        new = self.folder / "slice"
        pq.write_table(table, new)
        new.replace(self._path(number))
        return table

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06}.parquet"


def _values(column: pa.ChunkedArray) -> list[Any]:
    return column.to_pylist()  # type: ignore[no-any-return]  # pyarrow has no types


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
