"""Arithmetic in a question: which sums it asks for, and what they come to.

Rule 1. A sum has at most 120 characters, and powers have small exponents, so that every sum takes a moment.
Rule 2. Dates and telephone numbers are not sums: an operator has spaces around it, or is another one than a minus.
"""

from __future__ import annotations

import ast
import operator
import re
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 120  # characters of a sum
HIGHEST = 1_000  # exponent
LARGEST = 10**300
MOST_SUMS = 20
RUN = re.compile(rf"[-\d(.][\d\s.+\-*/()]{{1,{LONGEST}}}[\d)]")
WORDED = (
    (re.compile(r"(?<=\d),(?=\d{3}\b)"), ""),
    (re.compile(r"\bmultiplied by\b|\btimes\b|[\u00d7\u00b7]|(?<=\d)\s*x\s*(?=\d)", re.IGNORECASE), " * "),
    (re.compile(r"(?<=\d)\s+(?:mal|fois)\s+(?=\d)", re.IGNORECASE), " * "),
    (re.compile(r"(?<=\d)\s+(?:geteilt durch|divisé par)\s+(?=\d)", re.IGNORECASE), " / "),
    (re.compile(r"\bdivided by\b|\bover\b|\u00f7", re.IGNORECASE), " / "),
    (re.compile(r"\bplus\b", re.IGNORECASE), " + "),
    (re.compile(r"\bminus\b|\u2212", re.IGNORECASE), " - "),
    (re.compile(r"\bto the power of\b|\^", re.IGNORECASE), " ** "),
    (re.compile(r"\bsquared\b", re.IGNORECASE), " ** 2 "),
    (re.compile(r"\bcubed\b", re.IGNORECASE), " ** 3 "),
    (re.compile(r"(?:%|\bpercent\b) of\b", re.IGNORECASE), " / 100 * "),
)
"""How a text says an operator, and the operator."""
OPERATORS: dict[type[ast.AST], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
SPACED_OR_SURE = re.compile(r"[+*/]|\d\s+-\s|\)\s*-|-\s*\(")


def with_operators(text: str) -> str:
    """Return the text with the words for operators written as operators: ``3 times 4`` as ``3 * 4``."""
    for spelled, sign in WORDED:
        text = spelled.sub(sign, text)
    return text


def sums_in(text: str) -> list[tuple[str, str]]:
    """Return the sums of a text, each with its result; only the first 20.

    Args:
        text: The text.

    Returns:
        For each sum what is added, multiplied, ..., and the result, both as text.
    """
    found = []
    for match in RUN.finditer(with_operators(text)):
        sum_ = " ".join(match.group().split())
        result = value_of(sum_) if SPACED_OR_SURE.search(sum_) else None
        if result is not None:
            found.append((sum_, shown(result)))
        if len(found) == MOST_SUMS:
            break
    return found


def value_of(sum_: str) -> Fraction | None:
    """Return what a sum comes to; None if it is not one, or has no result."""
    try:
        value = _value(ast.parse(sum_, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None
    return value if abs(value) <= LARGEST else None


def shown(number: Fraction) -> str:
    """Return a number as a person writes it, with six decimals at most."""
    if number.denominator == 1:
        return str(number.numerator)
    return f"{float(number):.6f}".rstrip("0").rstrip(".")


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Fraction(str(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        base, exponent = _value(node.left), _value(node.right)
        if exponent.denominator == 1 and abs(exponent) <= HIGHEST and abs(base) <= HIGHEST >= base.denominator:
            return base ** int(exponent)
    raise ValueError("This is not a sum.")
