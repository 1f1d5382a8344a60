"""Total tokens and costs for each model, over a chain, an agent, a batch or a Spark job.

Rule 1. The cost is computed for each call, because the price of a call depends on its length and service tier.
Rule 2. An answer with several choices reports the usage of all of them with each one, so the first one counts.
Rule 3. A total is a number only if everything in it is known: `CostTotals.dollars` is None if a call had no usage or
its model no price, and `CostTotals.unknown` says which. `CostTotals.known_dollars` is the rest.
Rule 4. Totals are plain data: they can be added, pickled, and written as JSON, so each process can have its own.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGeneration
from langchain_core.tracers.context import register_configure_hook

from langchain_dbchat._process_lock import ProcessLock
from langchain_dbchat.errors import ConfigurationError, MalformedResponseError, StreamInterruptedError
from langchain_dbchat.integrations.costs.cost import UnknownPriceError, cost_of
from langchain_dbchat.integrations.token_counts import count_tokens, usage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from uuid import UUID

    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import LLMResult

    from langchain_dbchat.embeddings import DatabricksEmbeddings
    from langchain_dbchat.integrations.costs.prices import PriceList

__all__ = ["CostTotals", "CostTracker", "ModelTotal", "track_costs"]


@dataclass(frozen=True, slots=True)
class ModelTotal:
    """What the calls of one model used.

    Attributes:
        calls: Answers, without those of LangChain's cache.
        input_tokens: Input tokens, with the cached ones.
        cache_read_tokens: Input tokens that were read from the cache.
        cache_write_tokens: Input tokens that were written to the cache.
        output_tokens: Output tokens, with the reasoning.
        reasoning_tokens: Output tokens of the reasoning, where the endpoint reports them.
        known_dollars: Cost of the calls whose cost is known, in US dollars.
        unknown_calls: Calls whose cost is not known.
    """

    calls: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    known_dollars: float = 0.0
    unknown_calls: int = 0

    def __add__(self, other: ModelTotal) -> ModelTotal:
        return ModelTotal(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


@dataclass(frozen=True, slots=True)
class CostTotals:
    """What the calls of several models used; two totals can be added.

    Attributes:
        by_model: The total of each model, by the name of its endpoint.
        cached_calls: Answers that LangChain's cache gave.
        unknown: Why a cost is not known, by the name of the endpoint.
    """

    by_model: Mapping[str, ModelTotal] = field(default_factory=dict)
    cached_calls: int = 0
    unknown: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> ModelTotal:
        """Return the total of all models."""
        return sum(self.by_model.values(), ModelTotal())

    @property
    def dollars(self) -> float | None:
        """Return the cost in US dollars, or None if a part of it is not known (see `unknown`)."""
        return None if self.unknown else self.known_dollars

    @property
    def known_dollars(self) -> float:
        """Return the part of the cost that is known, in US dollars."""
        return self.total.known_dollars

    def __add__(self, other: CostTotals) -> CostTotals:
        if not isinstance(other, CostTotals):
            return NotImplemented
        merged = dict(self.by_model)
        for name, total in other.by_model.items():
            merged[name] = merged[name] + total if name in merged else total
        return CostTotals(merged, self.cached_calls + other.cached_calls, {**other.unknown, **self.unknown})

    @classmethod
    def sum(cls, parts: Iterable[CostTotals | str | None]) -> CostTotals:
        """Add totals, such as the column ``costs`` of a Spark job.

        Args:
            parts: Totals, or their JSON; None is left out.

        Returns:
            The sum.

        Raises:
            ConfigurationError: If a text is not the JSON of a total.
        """
        total = cls()
        for part in parts:
            if part is not None:
                total += cls.from_json(part) if isinstance(part, str) else part
        return total

    def to_json(self) -> str:
        """Return the totals as JSON text."""
        models = {
            name: {each.name: getattr(total, each.name) for each in fields(total)}
            for name, total in self.by_model.items()
        }
        return json.dumps(
            {"by_model": models, "cached_calls": self.cached_calls, "unknown": dict(self.unknown)}, sort_keys=True
        )

    @classmethod
    def from_json(cls, text: str) -> CostTotals:
        """Read totals from JSON text.

        Args:
            text: What `to_json` returned.

        Returns:
            The totals.

        Raises:
            ConfigurationError: If the text is not the JSON of a total.
        """
        try:
            data = json.loads(text)
            models = {name: ModelTotal(**counts) for name, counts in data["by_model"].items()}
            return cls(models, data["cached_calls"], data["unknown"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"This is not the JSON of CostTotals: {text[:100]!r}.") from error


class CostTracker(BaseCallbackHandler):
    """Callback that totals the tokens and the cost of all chat models that are called with it.

    It may be used by several threads and event loops at once.

    Args:
        prices: The prices. Default: the published ones.

    Example:
        >>> from langchain_dbchat import ChatDatabricksCompat
        >>> from langchain_dbchat.integrations.costs import CostTracker
        >>> from langchain_dbchat.local import LocalWorkspace
        >>> tracker = CostTracker()
        >>> with LocalWorkspace() as workspace:
        ...     llm = ChatDatabricksCompat(
        ...         model="databricks-claude-sonnet-4-6", host=workspace.host, token=workspace.token
        ...     )
        ...     answers = llm.batch(["Hello!", "Good morning!"], {"callbacks": [tracker]})
        >>> tracker.totals.by_model["databricks-claude-sonnet-4-6"].calls
        2
        >>> tracker.totals.dollars > 0
        True
    """

    run_inline = True  # it is quick, and counts before the call returns in async code, too

    def __init__(self, prices: PriceList | None = None) -> None:
        super().__init__()
        self.prices = prices
        self._lock = ProcessLock()
        self._totals = CostTotals()
        self._started: dict[UUID, str] = {}

    @property
    def totals(self) -> CostTotals:
        """Return the totals of the calls that have ended."""
        return self._totals

    def add(self, embeddings: DatabricksEmbeddings) -> None:
        """Add what an embedding model has used since it was made, because LangChain has no callbacks for embeddings.

        Args:
            embeddings: The model. Add it once.
        """
        usage, name = embeddings.usage, embeddings.model
        if usage.requests:
            total = ModelTotal(usage.requests, usage.total_tokens)
            self._add(name, total, lambda: cost_of(usage, self.prices, model=name).dollars)

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Remember which model a run calls."""
        del serialized, messages
        called = (kwargs.get("invocation_params") or {}).get("model")
        with self._lock:
            self._started[run_id] = str(called or "unknown")

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Add an answer."""
        del kwargs
        name = self._ended(run_id)
        message = _first_message(response)
        if message is None:
            return
        name = str(message.response_metadata.get("model_name") or name)
        usage = usage_of(message)
        if usage is not None and usage.get("total_cost") == 0:
            self._put(CostTotals(cached_calls=1))
            return
        self._add(name, _count(usage), lambda: cost_of(message, self.prices, model=name).dollars)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Add an answer that was cut off or could not be read: it has a cost, but its usage is not known."""
        name = self._ended(run_id)
        message = getattr(error, "partial", None) or _first_message(kwargs.get("response"))
        # LangChain makes an empty AIMessage of a refusal, which costs nothing.
        if isinstance(message, AIMessageChunk) or isinstance(error, (StreamInterruptedError, MalformedResponseError)):
            total = _count(usage_of(message)) + ModelTotal(unknown_calls=1)
            reason = f"An answer was not complete ({type(error).__name__}), so its usage is not known."
            self._put(CostTotals({name: total}, 0, {name: reason}))

    def _ended(self, run_id: UUID) -> str:
        with self._lock:
            return self._started.pop(run_id, "unknown")

    def _add(self, name: str, total: ModelTotal, dollars: Callable[[], float]) -> None:
        try:
            self._put(CostTotals({name: total + ModelTotal(known_dollars=dollars())}))
        except UnknownPriceError as error:
            self._put(CostTotals({name: total + ModelTotal(unknown_calls=total.calls)}, 0, {name: str(error)}))

    def _put(self, totals: CostTotals) -> None:
        with self._lock:
            self._totals += totals


@contextmanager
def track_costs(prices: PriceList | None = None) -> Iterator[CostTracker]:
    """Total the tokens and the cost of all chat models that are called within the block, in whatever chain or agent.

    A block within another one counts for itself; its totals can be added to those of the outer one.

    Args:
        prices: The prices. Default: the published ones.

    Yields:
        The tracker; its `CostTracker.totals` may be read at any time.

    Example:
        >>> from langchain_dbchat import ChatDatabricksCompat, track_costs
        >>> from langchain_dbchat.local import LocalWorkspace
        >>> with LocalWorkspace() as workspace, track_costs() as costs:
        ...     llm = ChatDatabricksCompat(
        ...         model="databricks-claude-sonnet-4-6", host=workspace.host, token=workspace.token
        ...     )
        ...     message = llm.invoke("Hello!")
        >>> costs.totals.total.calls
        1
    """
    tracker = CostTracker(prices)
    token = _TRACKER.set(tracker)
    try:
        yield tracker
    finally:
        _TRACKER.reset(token)


_TRACKER: ContextVar[CostTracker | None] = ContextVar("dbchat_cost_tracker", default=None)
register_configure_hook(_TRACKER, inheritable=True)


def _first_message(response: Any) -> BaseMessage | None:
    """Return the first choice of an answer, if the answer has begun."""
    generations = getattr(response, "generations", None)
    first = generations[0][0] if generations and generations[0] else None
    return first.message if isinstance(first, ChatGeneration) else None


def _count(usage: Mapping[str, Any] | None) -> ModelTotal:
    counts = count_tokens(usage or {})
    return ModelTotal(
        calls=1,
        input_tokens=counts.input,
        cache_read_tokens=counts.cache_read,
        cache_write_tokens=counts.cache_write + counts.cache_write_1h,
        output_tokens=counts.output,
        reasoning_tokens=counts.reasoning,
    )
