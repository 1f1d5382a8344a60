"""Read the prices of Databricks' pay-per-token models, which are data with a date and a source.

Rule 1. Databricks publishes DBU per million tokens and bills DBU
(databricks.com/product/pricing/proprietary-foundation-model-serving and .../foundation-model-serving). A DBU of model
serving costs 0.07 US dollars in most regions; other regions and contracts have another price, so it is a field.
Rule 2. The list has the "Global" rates of pay-per-token. Provisioned throughput is billed by the hour and external
models by their provider, so an endpoint with a name of the user's has no price until the user gives one.
Rule 3. Cached tokens without a rate of their own cost as much as other input, as on the pricing pages. Any other kind
of token without a price is an error.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

__all__ = ["PriceList", "TokenPrice", "published_prices"]

_SERVICE, _ENDPOINT = "system.ai.", "databricks-"


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """The price of one model, in DBU per million tokens.

    Attributes:
        input: Input tokens.
        output: Output tokens, with the reasoning.
        cache_read: Input tokens that were read from the cache; None if they cost as much as other input.
        cache_write: Input tokens that were written to the cache; None if they cost as much as other input.
        cache_write_1h: Input tokens that were written to the cache for an hour; None if that has no price.
        audio_input: Input tokens of audio; None if they have no price.
        long_above: Number of input tokens above which `long` applies to the whole call; None for no such limit.
        long: The price of calls with a longer input.
    """

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    audio_input: float | None = None
    long_above: int | None = None
    long: TokenPrice | None = None

    @classmethod
    def from_dollars(  # noqa: PLR0913  # one for each field
        cls,
        input: float,  # noqa: A002  # the name of the field
        output: float,
        *,
        cache_read: float | None = None,
        cache_write: float | None = None,
        cache_write_1h: float | None = None,
        audio_input: float | None = None,
        dollars_per_dbu: float | None = None,
    ) -> TokenPrice:
        """Make a price of US dollars per million tokens.

        Args:
            input: Dollars per million input tokens.
            output: Dollars per million output tokens.
            cache_read: The same for tokens that were read from the cache.
            cache_write: The same for tokens that were written to the cache.
            cache_write_1h: The same for tokens that were written to the cache for an hour.
            audio_input: The same for input tokens of audio.
            dollars_per_dbu: Price of a DBU of the list that the price is put into; by default that of the published
                list.

        Returns:
            The price in DBU.
        """
        rate = published_prices().dollars_per_dbu if dollars_per_dbu is None else dollars_per_dbu

        def dbus(dollars: float | None) -> float | None:
            return None if dollars is None else dollars / rate

        return cls(
            input / rate,
            output / rate,
            cache_read=dbus(cache_read),
            cache_write=dbus(cache_write),
            cache_write_1h=dbus(cache_write_1h),
            audio_input=dbus(audio_input),
        )


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices by model.

    Attributes:
        models: The price of each model, by the name of its endpoint; ``system.ai.<model>`` costs as much as
            ``databricks-<model>``. A name that ends in ``/priority`` is the price of the service tier ``priority``.
        dollars_per_dbu: What a DBU costs in US dollars.
        date: The day on which the prices were read, as ``YYYY-MM-DD``.
        sources: The pages on which they are published.
    """

    models: Mapping[str, TokenPrice]
    dollars_per_dbu: float = 0.07
    date: str = ""
    sources: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", MappingProxyType(dict(self.models)))

    def __reduce__(self) -> tuple[Any, ...]:
        return PriceList, (dict(self.models), self.dollars_per_dbu, self.date, self.sources)

    def find(self, model: str, tier: str | None = None) -> TokenPrice | None:
        """Find the price of a model.

        Args:
            model: Name of the endpoint or the model service.
            tier: The service tier of the answer, if it is not the default one.

        Returns:
            The price, or None if the list does not have it.
        """
        suffix = f"/{tier}" if tier else ""
        name = _ENDPOINT + model.removeprefix(_SERVICE) if model.startswith(_SERVICE) else model
        found = self.models.get(model + suffix)
        return self.models.get(name + suffix) if found is None else found

    def changed(
        self, models: Mapping[str, TokenPrice] | None = None, *, dollars_per_dbu: float | None = None
    ) -> PriceList:
        """Return a list with other prices.

        Args:
            models: Prices that are added, or replace those of the same name.
            dollars_per_dbu: What a DBU costs; None for no change.

        Returns:
            A new list.

        Raises:
            ConfigurationError: If a price is negative or not a number.

        Example:
            >>> from langchain_dbchat.integrations.costs import published_prices
            >>> prices = published_prices()
            >>> sonnet = prices.models["databricks-claude-sonnet-4-6"]
            >>> mine = prices.changed({"support-bot": sonnet}, dollars_per_dbu=0.055)
            >>> mine.find("support-bot").input
            42.857
        """
        rate = self.dollars_per_dbu if dollars_per_dbu is None else dollars_per_dbu
        for name, price in (models or {}).items():
            _check(name, price)
        _check_number("dollars_per_dbu", rate)
        return replace(self, models={**self.models, **(models or {})}, dollars_per_dbu=rate)

    @classmethod
    def read(cls, path: str | PathLike[str]) -> PriceList:
        """Read a list from a JSON file with the fields of the published one.

        Args:
            path: The file.

        Returns:
            The list.

        Raises:
            ConfigurationError: If the file is not such a list.
            OSError: If the file cannot be read.
        """
        text = Path(path).read_text("utf-8")
        try:
            data = json.loads(text)
            models = {name: _read_price(row) for name, row in data["models"].items()}
            found = cls(
                {}, data.get("dollars_per_dbu", 0.07), str(data.get("date", "")), tuple(data.get("sources", ()))
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"{path} is not a price list ({type(error).__name__}: {error}). It is a JSON object with 'models': "
                '{"databricks-gpt-5": {"input": 17.857, "output": 142.857}, ...}, in DBU per million tokens.'
            ) from error
        return found.changed(models)


@cache
def published_prices() -> PriceList:
    """Return the prices that Databricks has published.

    Returns:
        The list that comes with this version of the package; its `date` says how old it is.
    """
    return PriceList.read(Path(__file__).with_name("prices.json"))


def _read_price(row: Mapping[str, Any]) -> TokenPrice:
    values = dict(row)
    if values.get("long") is not None:
        values["long"] = _read_price(values["long"])
    return TokenPrice(**values)


def _check(name: str, price: TokenPrice) -> None:
    if not isinstance(price, TokenPrice):
        raise ConfigurationError(f"The price of {name!r} has to be a TokenPrice, not {type(price).__name__}.")
    for each in fields(price):
        value = getattr(price, each.name)
        if each.name == "long":
            if (value is None) != (price.long_above is None):
                raise ConfigurationError(f"The price of {name!r} needs both of 'long' and 'long_above', or neither.")
            if value is not None:
                _check(name, value)
        elif value is not None:
            _check_number(f"{each.name!r} of the price of {name!r}", value)


def _check_number(what: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ConfigurationError(f"{what} has to be a number that is not negative, not {value!r}.")
