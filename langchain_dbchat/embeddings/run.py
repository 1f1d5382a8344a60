"""One embedding run, written: settings and texts in, addressed requests and the readers of their answers out.

Whatever a run has to decide is decided in its plan (`dialects.embedding_plan`) and here, once, for sync and async. What
the fields of `DatabricksEmbeddings` leave open is filled from the row of the model behind the endpoint; of another
server than a workspace nothing is assumed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import to_json

from langchain_dbchat.embeddings.plan import Plan, Rules
from langchain_dbchat.embeddings.rows import Shape
from langchain_dbchat.embeddings.wire import encode_embedding_request, read_rows
from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.errors.notices import warn
from langchain_dbchat.models.embedding_models import UNKNOWN, EmbeddingModel, embedding_model_of
from langchain_dbchat.models.learned import learn, lessons_of, named_field

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

    from langchain_dbchat.connection.session import Link
    from langchain_dbchat.embeddings import DatabricksEmbeddings
    from langchain_dbchat.embeddings.plan import Batch
    from langchain_dbchat.embeddings.rows import RowArray, RowList
    from langchain_dbchat.embeddings.wire import Row
    from langchain_dbchat.errors import DatabricksError, MalformedResponseError
    from langchain_dbchat.transport.exchange import Reply, Request

    Answer = tuple[Sequence[Row | MalformedResponseError], Mapping[str, Any]]

_SPARE = 4  # batches that are written, and wait until one of those that travel has ended or pauses
_FRAME = 64  # bytes of a request's body around its fields


@dataclass(frozen=True, slots=True)
class EmbeddingUsage:
    """What an instance has used since it was made, as far as the server said.

    Attributes:
        requests: Requests that were answered.
        texts: Texts that were embedded.
        prompt_tokens: Tokens of these texts.
        total_tokens: Tokens that are billed.
    """

    requests: int = 0
    texts: int = 0
    prompt_tokens: int = 0
    total_tokens: int = 0


class Meter:
    """Adds up usage; never copied or pickled, and no part of what makes two models equal."""

    __slots__ = ("_lock", "usage")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.usage = EmbeddingUsage()

    def add(self, texts: int, usage: Mapping[str, Any]) -> None:
        """Count one answer.

        Args:
            texts: Its rows.
            usage: The usage in it.
        """
        with self._lock:
            now = self.usage
            prompt = _count(usage.get("prompt_tokens"))
            total = _count(usage.get("total_tokens")) or prompt
            self.usage = EmbeddingUsage(
                now.requests + 1, now.texts + texts, now.prompt_tokens + prompt, now.total_tokens + total
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Meter)

    def __hash__(self) -> int:
        return hash(Meter)

    def __reduce__(self) -> tuple[type[Meter], tuple[()]]:
        return (Meter, ())

    def __deepcopy__(self, memo: object) -> Meter:
        return Meter()


class Ask(NamedTuple):
    """One batch, ready to travel."""

    batch: Batch
    request: Request
    amend: Callable[[DatabricksError, Request], Request | None]


class Facts(NamedTuple):
    """What holds for the rows and requests of an instance: its own fields, else the model's row."""

    row: EmbeddingModel
    window: int | None
    dimensions: int | None
    """What the request asks for; None where the field is not sent."""
    shape: Shape


def facts_of(model: DatabricksEmbeddings, *, plain: bool) -> Facts:
    """Work out what holds for an instance.

    Args:
        model: The instance.
        plain: Whether it calls another server than a workspace.

    Returns:
        The facts.

    Raises:
        ConfigurationError: If ``dimensions`` asks for what the model cannot do.
    """
    row = UNKNOWN if plain else embedding_model_of(model.model)
    wanted = model.dimensions
    if wanted is not None and row.dimensions is not None:
        if wanted > row.dimensions or (wanted < row.dimensions and not row.chooses_dimensions):
            few = "at most" if row.chooses_dimensions else "always"
            raise ConfigurationError(
                f"dimensions={wanted}: {model.model!r} gives {few} {row.dimensions}. Leave dimensions out, or call "
                "another endpoint."
            )
        if not row.chooses_dimensions:
            wanted = None
    shape = Shape(model.dimensions, cuttable=row.is_nested, normalize=model.normalize)
    return Facts(row, model.window or row.window, wanted, shape)


def listed(texts: Iterable[str]) -> list[str]:
    """List texts by position, whatever holds them.

    A pandas Series is indexed by labels, and a column of pyarrow gives scalars of its own; both know how to become a
    list.

    Args:
        texts: The texts, in any iterable.

    Returns:
        A new list.

    Raises:
        TypeError: If this is one text, a mapping, a table or nothing to list, or a text is not a string.
    """
    if isinstance(texts, (str, bytes, Mapping, int, float, type(None))) or hasattr(texts, "columns"):
        what = "one text" if isinstance(texts, str) else f"a {type(texts).__name__}"
        raise TypeError(f"The texts are {what}; give a list of strings, or one column of them.")
    convert = next(filter(None, (getattr(texts, name, None) for name in ("to_pylist", "tolist", "to_list"))), None)
    found: Any = convert() if callable(convert) else list(texts)
    if not isinstance(found, list):
        raise TypeError(f"The texts are a single {type(found).__name__}; give a list of strings.")
    for index, text in enumerate(found):
        if not isinstance(text, str):
            missing = text is None or type(text).__name__ == "NAType" or text != text  # noqa: PLR0124 - NaN
            kind = f"missing ({text!r})" if missing else f"a {type(text).__name__}, not a string"
            raise TypeError(f"Text {index} is {kind}. Leave it out, or give a string in its place.")
    return found


class Run:
    """One run of an instance over some texts.

    Args:
        model: The instance.
        link: Its connection.
        texts: The texts.
        rows: Where rows are kept.
        kind: ``"query"`` or ``"document"``.

    Raises:
        TypeError: If a text is no string.
    """

    def __init__(
        self, model: DatabricksEmbeddings, link: Link, texts: Sequence[str], rows: RowList | RowArray, kind: str
    ) -> None:
        facts = model.facts()
        is_query = kind == "query"
        said = model.query_instruction if is_query else model.document_instruction
        said = model.instruction if said is None else said
        default = facts.row.query_instruction if is_query else ""
        params = {"instruction": default if said is None else said, "dimensions": facts.dimensions}
        given = model.query_params if is_query else model.documents_params
        self._model = model
        self._link = link
        self._params = {**{key: value for key, value in params.items() if value}, **given}
        # What may be left out for an endpoint that refuses it: what nobody asked for, and what the client can do alone.
        self._optional = {"encoding_format"}
        if said is None and "instruction" not in given:
            self._optional.add("instruction")
        if facts.row.is_nested and "dimensions" not in given:
            self._optional.add("dimensions")
        from langchain_dbchat.transport.limiter import LocalLimiter, limiter_for  # noqa: PLC0415  # loads with the transport

        self.plan = Plan(texts, self._rules(facts), rows)
        self.width = min(model.max_concurrency, len(texts))
        # A request that pauses before it is sent again leaves its place to one of these.
        self.ahead = self.width + _SPARE if self.width > 1 else 1
        shared = limiter_for(link.workspace.host, model.model) if model.adaptive_limit else None
        self.gate = LocalLimiter(max(1, self.width), shared)
        self._bar = _progress_bar(len(texts)) if model.show_progress and len(texts) > 1 else None

    def write(self, batch: Batch) -> Ask:
        """Write the request for a batch.

        Args:
            batch: The batch.

        Returns:
            The request, and what to do if a field of it is refused.
        """

        def write() -> Request:
            lessons = lessons_of(self._link.address, self._model.model) & self._optional
            params = {key: value for key, value in self._params.items() if key not in lessons}
            body = encode_embedding_request(batch.texts, params)
            return self._model.write_request(self._link, "embeddings", self._model.model, body)

        def amend(error: DatabricksError, request: Request) -> Request | None:
            del request
            field = named_field(error.detail or error.message, {**self._params, "input": batch.texts})
            if field not in self._optional or field is None:
                return None
            if learn(self._link.address, self._model.model, field):
                warn(f"{self._model.model!r} refused {field!r}, so it is left out from now on: {error.detail}")
            return write()

        return Ask(batch, write(), amend)

    def read(self, ask: Ask, reply: Reply) -> Answer:
        """Read an answer.

        Args:
            ask: What was asked.
            reply: The answer.

        Returns:
            Its rows, or what is wrong with them, and its usage.
        """
        packed = self._params.get("encoding_format") == "base64"
        count, endpoint = len(ask.batch.items), self._model.model
        return reply.understood(lambda body: read_rows(body, count, endpoint, packed=packed))

    def take(self, batch: Batch, done: Future[Answer] | Task[Answer]) -> None:
        """Take what came of a batch.

        Args:
            batch: The batch.
            done: Its thread's or task's end.

        Raises:
            BaseException: What is no error of the batch, such as a KeyboardInterrupt.
        """
        error = done.exception()
        if error is not None and not isinstance(error, Exception):
            raise error
        if error is None:
            rows, usage = done.result()
            self._model.meter.add(len(rows), usage)
        self.plan.take(batch, error or done.result())
        if self._bar is not None:
            self._bar.update(self.plan.settled - self._bar.n)

    def close(self) -> None:
        """Take the progress bar off."""
        if self._bar is not None:
            self._bar.close()

    def _rules(self, facts: Facts) -> Rules:
        model, params = self._model, self._params
        instruction = params.get("instruction")
        return Rules(
            address=self._link.address,
            host=self._link.workspace.host,
            endpoint=model.model,
            batch_size=model.batch_size,
            max_bytes=model.max_batch_bytes - len(to_json({**params, "model": model.model}, fallback=str)) - _FRAME,
            max_tokens=model.max_batch_tokens,
            window=facts.window,
            cuts_silently=facts.row.cuts_silently,
            too_long=model.too_long,
            instruction=instruction if isinstance(instruction, str) else "",
            fields=frozenset(params),
        )


def _progress_bar(total: int) -> Any:
    try:
        from tqdm.auto import tqdm  # noqa: PLC0415  # an extra, and loaded only for those who want to look on
    except ImportError as error:
        raise ConfigurationError('show_progress needs tqdm: pip install "langchain-dbchat[progress]".') from error
    return tqdm(total=total, unit="text", desc="Embedding")


def _count(value: Any) -> int:
    return max(0, value) if type(value) is int else 0
