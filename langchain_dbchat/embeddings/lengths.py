"""How long a text is for an embedding model, without its tokenizer.

A text that is longer than a model's window must not be cut without a word, and GTE on Databricks does just that: it
answers 200 with an embedding of the beginning. The tokenizers are not on this machine, so two bounds are used:

- `least_tokens` is certain: neither WordPiece (BGE, GTE) nor byte-level BPE (Qwen3) joins two words, so a text has at
  least as many tokens as words.
- `most_tokens` is an estimate on the safe side: a token for every four letters of an ASCII word or part of them, for
  every other ASCII sign but the space, and for every byte of what is not ASCII. English prose has about 1.25 tokens a
  word and is estimated at 1.75. It can still be too low for runs of letters that are no words, so whoever uses it
  compares it with the count that the server reports.

A text between the two is asked about: it is sent alone, and the server's own count tells whether it was cut.
"""

from __future__ import annotations

import re

__all__ = ["cut_to_words", "least_tokens", "most_tokens", "shorten"]

_WORD = re.compile(r"\w+")
_LETTERS = re.compile(r"[A-Za-z]+")
_NUMBER = re.compile(r"\d[\d,]*")
_ENDS = 2  # tokens that mark the beginning and the end of a text
_LETTERS_A_TOKEN = 4
_LONGEST_TOKEN = 100  # characters; what is cut beyond a window of such tokens, no model would have read
_SMALLEST_WINDOW = 16  # tokens: a smaller number in a refusal is not a window
_SAFETY = 0.98
_STEP = 0.75


def least_tokens(text: str) -> int:
    """Count the tokens that a text has at least.

    Args:
        text: The text.

    Returns:
        The number of its words.
    """
    return sum(1 for _ in _WORD.finditer(text))


def most_tokens(text: str) -> int:
    """Estimate the tokens that a text has at most.

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
    """Cut off what lies beyond a window for certain.

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
        refusal: The server's words; if they name the window and the tokens of the text, they say how much to keep.

    Returns:
        A beginning of the text, a little shorter than the window as far as the server's words tell.
    """
    numbers = sorted(int(found.replace(",", "")) for found in _NUMBER.findall(refusal))
    numbers = [number for number in numbers if number >= _SMALLEST_WINDOW]
    share = numbers[0] / numbers[-1] if numbers and numbers[0] < numbers[-1] else _STEP
    return text[: int(len(text) * min(share * _SAFETY, _SAFETY))]
