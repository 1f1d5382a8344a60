"""Compute what one answer cost.

Rule 1. Databricks bills reasoning as output (docs.databricks.com/aws/en/machine-learning/foundation-model-apis/
api-reference#usage), and ``output_tokens`` contains it.
Rule 2. Nothing is estimated. If the usage, the model's price, or the price of a kind of token is missing, an error
names it.
Rule 3. An answer that LangChain's cache gave cost nothing: it has ``total_cost: 0`` in its usage.
Rule 4. The tokens of the cache are counted as text; audio counts as audio that was not cached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_dbchat.embeddings.run import EmbeddingUsage
from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.integrations.costs.prices import published_prices
from langchain_dbchat.integrations.token_counts import count_tokens, usage_of

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from langchain_dbchat.integrations.costs.prices import PriceList, TokenPrice
    from langchain_dbchat.integrations.token_counts import TokenCounts

__all__ = ["Cost", "UnknownPriceError", "cost_of"]

_MILLION = 1_000_000
_DEFAULT_TIERS = frozenset({"default", "auto", "standard", "standard_only"})


class UnknownPriceError(ConfigurationError):
    """The cost is not known: an answer has no usage, or the list has no price for it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one answer cost.

    Attributes:
        model: The name under which the price was looked up.
        dollars: The cost in US dollars.
        dbus: The cost in DBU.
        input_dbus: The part of the input that was neither read from the cache nor written to it.
        cache_read_dbus: The part of the input that was read from the cache.
        cache_write_dbus: The part of the input that was written to the cache.
        output_dbus: The part of the output, with the reasoning.
    """

    model: str
    dollars: float = 0.0
    dbus: float = 0.0
    input_dbus: float = 0.0
    cache_read_dbus: float = 0.0
    cache_write_dbus: float = 0.0
    output_dbus: float = 0.0


def cost_of(
    answer: BaseMessage | EmbeddingUsage | Mapping[str, Any],
    prices: PriceList | None = None,
    *,
    model: str | None = None,
) -> Cost:
    """Compute what an answer, or the embeddings of an instance, cost.

    Args:
        answer: The message (whole, or the sum of a stream's chunks), its ``usage_metadata``, or the ``usage`` of a
            `DatabricksEmbeddings`.
        prices: The prices. Default: the published ones.
        model: The name of the model in the list. Default: the endpoint's name in the message.

    Returns:
        The cost.

    Raises:
        UnknownPriceError: If the usage or a price is not known.

    Example:
        >>> from langchain_dbchat import ChatDatabricksCompat, cost_of
        >>> from langchain_dbchat.local import LocalWorkspace
        >>> with LocalWorkspace() as workspace:
        ...     llm = ChatDatabricksCompat(
        ...         model="databricks-claude-sonnet-4-6", host=workspace.host, token=workspace.token
        ...     )
        ...     cost = cost_of(llm.invoke("Hello!"))
        >>> 0 < cost.dollars < 0.001 and cost.model
        'databricks-claude-sonnet-4-6'
    """
    prices = published_prices() if prices is None else prices
    usage, metadata = _usage_and_metadata(answer)
    name = model or str(metadata.get("model_name") or "")
    if not usage:
        raise UnknownPriceError(
            "The answer has no token usage, so its cost is not known. Set stream_usage=True (the default) for streams; "
            "an agent's endpoint may not report its usage."
        )
    if usage.get("total_cost") == 0:
        return Cost(name)
    if not name:
        raise UnknownPriceError("Give model=..., the name of the endpoint, because the usage does not contain it.")
    counts = count_tokens(usage)
    price = _price(prices, name, _tier(metadata), counts)
    return _compute(name, counts, price, prices.dollars_per_dbu)


def _usage_and_metadata(
    answer: BaseMessage | EmbeddingUsage | Mapping[str, Any],
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any]]:
    if isinstance(answer, EmbeddingUsage):
        return {"input_tokens": answer.total_tokens, "output_tokens": 0}, {}
    if isinstance(answer, Mapping):
        return answer, {}
    return usage_of(answer), answer.response_metadata


def _tier(metadata: Mapping[str, Any]) -> str | None:
    tier = metadata.get("service_tier")
    return tier if isinstance(tier, str) and tier not in _DEFAULT_TIERS else None


def _price(prices: PriceList, model: str, tier: str | None, counts: TokenCounts) -> TokenPrice:
    price = prices.find(model, tier)
    if price is None:
        wanted = f"{model!r} in the service tier {tier!r}" if tier else repr(model)
        raise UnknownPriceError(
            f"The price of {wanted} is not known (prices of {prices.date or 'an unknown date'}). Only Databricks' own "
            "pay-per-token models have published prices. Name the model with model=..., or give a price: "
            f"prices=published_prices().changed({{{model + (f'/{tier}' if tier else '')!r}: TokenPrice(input=..., "
            "output=...)})."
        )
    if price.long is not None and price.long_above is not None and counts.input > price.long_above:
        return price.long
    return price


def _compute(model: str, counts: TokenCounts, price: TokenPrice, dollars_per_dbu: float) -> Cost:
    read, audio = counts.cache_read, counts.audio_input
    plain = max(counts.input - read - counts.cache_write - counts.cache_write_1h - audio, 0)
    fresh = plain * price.input + audio * _rate(model, "audio_input", price.audio_input, audio)
    from_cache = read * (price.input if price.cache_read is None else price.cache_read)
    to_cache = counts.cache_write * (price.input if price.cache_write is None else price.cache_write)
    hourly = price.input if price.cache_write is None else price.cache_write_1h
    to_cache += counts.cache_write_1h * _rate(model, "cache_write_1h", hourly, counts.cache_write_1h)
    parts = [part / _MILLION for part in (fresh, from_cache, to_cache, counts.output * price.output)]
    return Cost(model, sum(parts) * dollars_per_dbu, sum(parts), *parts)


def _rate(model: str, kind: str, rate: float | None, tokens: int) -> float:
    if rate is None and tokens:
        raise UnknownPriceError(
            f"The answer of {model!r} used {tokens} tokens whose price {kind!r} is not known. Give a TokenPrice "
            f"with {kind}=...: prices=published_prices().changed({{{model!r}: ...}})."
        )
    return rate or 0.0
