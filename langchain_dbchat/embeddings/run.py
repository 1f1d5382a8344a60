"""One embedding run: write the requests of its batches and read their answers, the same for sync and async.

Rule 1. `Plan` decides which texts go into which request, and what an outcome means. Here requests are written and
answers are read; `model` sends them.
Rule 2. A field that the user did not ask for, or that the client can replace, is left out for an endpoint that refuses
it. The user is warned once.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_dbchat._process_lock import ProcessLock
from langchain_dbchat.connection.endpoints import endpoint_of, tenant_of
from langchain_dbchat.connection.observing import observer
from langchain_dbchat.connection.requests import address_request, next_route, written_json
from langchain_dbchat.dialects.shared.request.refusals import named_field
from langchain_dbchat.embeddings.plan import Plan, Rules
from langchain_dbchat.embeddings.settings import spec_of
from langchain_dbchat.embeddings.wire import PATHS, encode_embedding_request, read_rows, token_count
from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.errors.user_warnings import pointing_here, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from langchain_dbchat.connection.endpoints import Endpoint
    from langchain_dbchat.connection.observing import EmbeddingObservation
    from langchain_dbchat.connection.session import Session
    from langchain_dbchat.embeddings.plan import Batch
    from langchain_dbchat.embeddings.rows import RowArray, RowList
    from langchain_dbchat.embeddings.settings import EmbeddingSettings, EmbeddingSpec
    from langchain_dbchat.embeddings.wire import BatchResult
    from langchain_dbchat.errors import DatabricksError
    from langchain_dbchat.transport.messages import Reply, Request

__all__ = ["EmbeddingRun", "EmbeddingUsage", "Meter", "PreparedBatch", "list_texts"]

_SPARE = 4  # requests beyond the limit that are written already, and wait until another one ends or pauses
_FRAME = 64  # bytes of a request's body around its fields


@dataclass(frozen=True, slots=True)
class EmbeddingUsage:
    """What an instance has used since it was made, as far as the server reported it.

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
    """Adds up usage. It is never copied or pickled, and two models are equal whatever they have used."""

    __slots__ = ("_lock", "usage")

    def __init__(self) -> None:
        self._lock = ProcessLock()
        self.usage = EmbeddingUsage()

    def add(self, texts: int, usage: Mapping[str, Any]) -> None:
        """Count one answer.

        Args:
            texts: Number of its rows.
            usage: The usage that it reports.
        """
        with self._lock:
            now = self.usage
            prompt = token_count(usage.get("prompt_tokens")) or 0
            total = token_count(usage.get("total_tokens")) or prompt
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


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """One batch, ready to be sent.

    Attributes:
        batch: The batch.
        request: Its request.
        revise: Writes what to send instead after a refusal; None if there is nothing.
        confirm: Remembers the URL that has answered.
    """

    batch: Batch
    request: Request
    revise: Callable[[DatabricksError], Request | None]
    confirm: Callable[[], None]


def list_texts(texts: Iterable[str]) -> list[str]:
    """List texts by position, whatever contains them.

    A pandas Series is indexed by labels, and a column of pyarrow gives scalars of its own type; both have a method that
    makes a list.

    Args:
        texts: The texts, in any iterable.

    Returns:
        A new list.

    Raises:
        TypeError: If this is a single text, a mapping, a table or not iterable, or if a text is not a string.
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
            missing = text is None or type(text).__name__ == "NAType" or text != text  # noqa: PLR0124  # NaN
            kind = f"missing ({text!r})" if missing else f"a {type(text).__name__}, not a string"
            raise TypeError(f"Text {index} is {kind}. Leave it out, or give a string in its place.")
    return found


class EmbeddingRun:
    """One run of an instance over some texts.

    Args:
        settings: The instance's settings.
        session: Its connection.
        texts: The texts.
        rows: Where rows are kept.
        meter: Where usage is added up.
        is_query: Whether the texts are queries; otherwise they are documents.
    """

    def __init__(  # noqa: PLR0913  # a run's parts
        self,
        settings: EmbeddingSettings,
        session: Session,
        texts: Sequence[str],
        rows: RowList | RowArray,
        meter: Meter,
        *,
        is_query: bool,
    ) -> None:
        spec = spec_of(settings)
        own = settings.query_instruction if is_query else settings.document_instruction
        own = settings.instruction if own is None else own
        default = spec.model.query_instruction if is_query else ""
        params = {"instruction": default if own is None else own, "dimensions": spec.dimensions}
        given = {
            **(settings.extra_body or {}),
            **(settings.query_params if is_query else settings.documents_params),
        }
        self._settings = settings
        self._session = session
        self.channel = session.channel
        self._meter = meter
        self._params = {**{key: value for key, value in params.items() if value}, **given}
        self._optional = {"encoding_format"}  # fields that may be left out for an endpoint that refuses them
        if own is None and "instruction" not in given:
            self._optional.add("instruction")
        if spec.model.is_nested and "dimensions" not in given:
            self._optional.add("dimensions")
        from langchain_dbchat.transport.limiter import LocalLimiter, limiter_for  # noqa: PLC0415  # loads with the transport

        self.plan = Plan(texts, self._rules(spec), rows)
        self.width = min(settings.max_concurrency, len(texts))
        # A request that pauses before it is sent again lets one of the spare requests go first.
        self.ahead = self.width + _SPARE if self.width > 1 else 1
        shared = limiter_for(session.address, settings.model) if settings.adaptive_limit else None
        self.limiter = LocalLimiter(max(1, self.width), shared)
        self._observation: EmbeddingObservation | None = None
        self._bar = _progress_bar(len(texts)) if settings.show_progress and len(texts) > 1 else None

    @contextmanager
    def observed(self, failures: dict[int, Exception] | None) -> Iterator[None]:
        """Observe and end the run, whose batches are sent inside.

        Args:
            failures: A dict for the errors of texts that cannot be embedded; None to raise.

        Raises:
            EmbeddingsIncompleteError: If some texts have no embedding.
            DatabricksError: If nothing could be embedded.
        """
        with pointing_here(), closing(self), self._observer():
            yield
            self.plan.finish(failures)

    def _observer(self) -> AbstractContextManager[object]:
        found = observer()
        if found is None:
            return nullcontext()
        self._observation = found.embeddings(self._settings.model, self._session.workspace.origin)
        return self._observation

    def next_batches(self, in_flight: int) -> Iterator[PreparedBatch]:
        """Iterate over the batches that are sent now.

        Args:
            in_flight: How many are under way.
        """
        while in_flight < self.ahead and (batch := self.plan.next()) is not None:
            yield self.prepare(batch)
            in_flight += 1

    def prepare(self, batch: Batch) -> PreparedBatch:
        """Write the request for a batch.

        Args:
            batch: The batch.

        Returns:
            The request, and what to do if a field of it is refused.
        """
        model, known = self._settings.model, self._taught_endpoint()

        first = route = known.route()
        refused_here: set[str] = set()

        def write() -> Request:
            refused = (known.lessons() | refused_here) & self._optional
            params = {key: value for key, value in self._params.items() if key not in refused}
            body = encode_embedding_request(batch.texts, params)
            return address_request(self._settings, self._session, PATHS, model, body, route=route)

        def revise(error: DatabricksError) -> Request | None:
            nonlocal route
            place = next_route(error, self._settings, self._session, PATHS, model, route)
            if place is not None:
                route = place
                return write()
            field = named_field(error.detail or error.message, {**self._params, "input": batch.texts})
            if field not in self._optional or field is None:
                return None
            refused_here.add(field)
            self._learn_field(field, error)
            return write()

        def confirm() -> None:
            if route != first:
                known.learn_route(route)

        return PreparedBatch(batch, write(), revise, confirm)

    def _taught_endpoint(self) -> Endpoint:
        settings = self._settings
        tenant = tenant_of(settings.default_headers or {}, settings.default_query or {})
        return endpoint_of(self._session.address, settings.model, tenant)

    def _learn_field(self, field: str, error: DatabricksError) -> None:
        from langchain_dbchat.dialects.shared.request.lasting_refusals import holds_for_every_call  # noqa: PLC0415  # where a refusal came

        model, known = self._settings.model, self._taught_endpoint()
        lessons, lasts = known.lessons(), holds_for_every_call(error.detail or error.message, model)
        if field not in lessons and (lasts or known.is_new_warning(f"{field} in one call")):
            span = "from now on" if lasts else "of this request"
            warn(f"{model!r} refused {field!r}, so it is left out {span}: {error.detail}")
        if lasts:
            known.learn(lessons | {field})

    def read(self, prepared: PreparedBatch, reply: Reply) -> BatchResult:
        """Read an answer.

        Args:
            prepared: What was sent.
            reply: The answer.

        Returns:
            Its rows, or what is wrong with them, and its usage.
        """
        packed = self._params.get("encoding_format") == "base64"
        count, endpoint = len(prepared.batch.items), self._settings.model
        result = reply.understood(lambda body: read_rows(body, count, endpoint, packed=packed))
        prepared.confirm()
        return result

    def take(self, batch: Batch, result: Callable[[], BatchResult]) -> None:
        """Take the outcome of a batch.

        Args:
            batch: The batch.
            result: Returns its rows and their usage, or raises.

        Raises:
            BaseException: What is not an error of the batch, such as a KeyboardInterrupt.
        """
        outcome: BatchResult | Exception
        try:
            outcome = rows, usage = result()
        except Exception as error:  # noqa: BLE001  # the plan decides what it means for each text
            outcome = error
        else:
            self._meter.add(len(rows), usage)
            if self._observation is not None:
                dimensions = next((len(row) for row in rows if not isinstance(row, Exception)), None)
                self._observation.received(dimensions, token_count(usage.get("prompt_tokens")))
        self.plan.take(batch, outcome)
        if self._bar is not None:
            self._bar.update(self.plan.settled - self._bar.n)

    def close(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.close()

    def _rules(self, spec: EmbeddingSpec) -> Rules:
        settings, params = self._settings, self._params
        instruction = params.get("instruction")
        frame = len(written_json({**params, "model": settings.model})) + _FRAME
        return Rules(
            address=self._session.address,
            host=self._session.workspace.host,
            endpoint=settings.model,
            batch_size=settings.batch_size,
            max_bytes=settings.max_batch_bytes - frame,
            max_tokens=settings.max_batch_tokens,
            window=spec.window,
            cuts_silently=spec.model.cuts_silently,
            too_long=settings.too_long,
            instruction=instruction if isinstance(instruction, str) else "",
            fields=frozenset(params),
        )


def _progress_bar(total: int) -> Any:
    try:
        from tqdm.auto import tqdm  # noqa: PLC0415  # an extra, loaded only where a bar is asked for
    except ImportError as error:
        raise ConfigurationError('show_progress needs tqdm: pip install "langchain-dbchat[progress]".') from error
    return tqdm(total=total, unit="text", desc="Embedding")
