"""What calls cost: published prices, the cost of one answer (`cost_of`), and totals over a program (`track_costs`)."""

from langchain_dbchat.integrations.costs.cost import Cost, UnknownPriceError, cost_of
from langchain_dbchat.integrations.costs.prices import PriceList, TokenPrice, published_prices
from langchain_dbchat.integrations.costs.totals import CostTotals, CostTracker, ModelTotal, track_costs

__all__ = [
    "Cost",
    "CostTotals",
    "CostTracker",
    "ModelTotal",
    "PriceList",
    "TokenPrice",
    "UnknownPriceError",
    "cost_of",
    "published_prices",
    "track_costs",
]
