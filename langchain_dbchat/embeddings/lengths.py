"""Bound the number of tokens of a text without the model's tokenizer, and cut texts.

Rule 1. A text that is longer than a model's window must not be cut silently. GTE on Databricks does that: it answers
200 with an embedding of the beginning.
Rule 2. `least_tokens` is certain: neither WordPiece (BGE, GTE) nor byte-level BPE (Qwen3) joins two words, so a text
has at least as many tokens as words.
Rule 3. `most_tokens` is an estimate that is rather too high than too low: one token for each four letters of an ASCII
word or part of them, for each other ASCII character but the space, and for each byte of what is not ASCII. English
prose has about 1.25 tokens per word; the estimate is 1.75. It can still be too low for runs of letters that are not
words, so its users compare it with the number that the server reports.
Rule 4. A text between the two is sent alone, and the number that the server reports shows whether it was cut.
"""

from __future__ import annotations

import re

__all__ = ["cut_to_words", "least_tokens", "most_tokens", "shorten"]

_WORD = re.compile(r"\w+")
_LETTERS = re.compile(r"[A-Za-z]+")
_NUMBER = re.compile(r"\d[\d,]*")
_MOST_DIGITS = 18  # no window has more, and `int` refuses thousands of them
_ENDS = 2  # tokens that mark the beginning and the end of a text
_LETTERS_A_TOKEN = 4
_LONGEST_TOKEN = 100  # characters; no model reads what stands beyond a window of such tokens
_SMALLEST_WINDOW = 16  # tokens: a smaller number in a refusal is not a window
_SAFETY = 0.98
_STEP = 0.75


def least_tokens(text: str) -> int:
    """Return a number of tokens that the text certainly has.

    Args:
        text: The text.

    Returns:
        The number of its words.
    """
    return sum(1 for _ in _WORD.finditer(text))


def most_tokens(text: str) -> int:
    """Estimate the most tokens that a text can have.

    Args:
        text: The text.

    Returns:
        The estimate, with the two tokens that mark beginning and end.
    """
    words = _LETTERS.findall(text)
    letters = sum(map(len, words))
    in_words = sum(-(-len(word) // _LETTERS_A_TOKEN) for word in words)
    others = len(text.encode("utf-8", "surrogatepass")) - letters - text.count(" ")
    return _ENDS + in_words + others


def cut_to_words(text: str, window: int) -> str:
    """Cut off what is certainly beyond a window.

    Args:
        text: The text.
        window: Tokens.

    Returns:
        A beginning of the text that still fills the window.
    """
    text = text[: window * _LONGEST_TOKEN]
    for count, word in enumerate(_WORD.finditer(text), 1):
        if count == window:
            return text[: word.end()]
    return text


def shorten(text: str, refusal: str) -> str:
    """Cut a text that a server has refused as too long.

    Args:
        text: The text.
        refusal: The server's words; if they name the window and the tokens of the text, these give the share to keep.

    Returns:
        A beginning of the text, a little shorter than that share; without numbers, three quarters of the text.
    """
    found = [digits for digits in _NUMBER.findall(refusal) if len(digits) <= _MOST_DIGITS]
    numbers = sorted(number for digits in found if (number := int(digits.replace(",", ""))) >= _SMALLEST_WINDOW)
    share = numbers[0] / numbers[-1] if numbers and numbers[0] < numbers[-1] else _STEP
    return text[: int(len(text) * min(share * _SAFETY, _SAFETY))]
