"""What an answer used: tokens, cost where the price is known, and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

__all__ = ["dollars_of", "usage_line"]

_CENT = 0.01


def dollars_of(message: AIMessage, model: str) -> float | None:
    """Return what an answer cost in US dollars; None if its usage or its price is not known.

    Args:
        message: The answer.
        model: The endpoint that gave it.

    Returns:
        The cost.
    """
    from langchain_dbchat.integrations.costs import UnknownPriceError, cost_of  # noqa: PLC0415  # reads the prices

    try:
        return cost_of(message, model=model).dollars
    except UnknownPriceError:
        return None


def usage_line(message: AIMessage, model: str, seconds: float) -> str:
    """Return one line on what an answer used.

    Args:
        message: The answer.
        model: The endpoint that gave it.
        seconds: How long it took.

    Returns:
        Such as ``12 tokens in, 40 out, $0.00064, 1.2 s``.
    """
    parts = []
    if usage := message.usage_metadata:
        parts.append(f"{usage['input_tokens']:,} tokens in, {usage['output_tokens']:,} out")
    dollars = dollars_of(message, model)
    if dollars is not None:
        parts.append(f"${dollars:.2f}" if dollars >= _CENT else f"${dollars:.6f}")
    return ", ".join((*parts, f"{seconds:.1f} s"))
