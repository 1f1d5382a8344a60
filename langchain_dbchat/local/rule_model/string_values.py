"""Which words of a text a string property means: by its format, its pattern, its name, its description.

Rule 1. A pattern is searched for only where the search is quick (`pattern_search`).
Rule 2. Values are looked for in the first 20,000 characters (`ExtractedValues.head`).
Rule 3. A value of the text is taken once, as far as there are others (`ExtractedValues.take`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model import dates
from langchain_dbchat.local.rule_model import extracted_values as patterns
from langchain_dbchat.local.rule_model.conversation import Talk, composed_answer
from langchain_dbchat.local.rule_model.knowledge import joke_about, topic_of
from langchain_dbchat.local.rule_model.pattern_search import search
from langchain_dbchat.local.rule_model.replies import SENTENCE
from langchain_dbchat.local.rule_model.tokens import STOPWORDS, content_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_dbchat.local.rule_model.extracted_values import ExtractedValues

WHERE = frozenset(
    content_words("location locations city cities place town country region destination origin area where venue")
)
PEOPLE = frozenset(
    content_words(
        "name person customer author user company who recipient employee patient player attendee participant guest "
        "member vendor supplier sender speaker host organizer director contact character owner manager"
    )
)
WHOLE = frozenset(content_words("query question search request prompt input instruction task"))
PIECE = frozenset(content_words("text sentence message content phrase word string body"))
CODES = frozenset(content_words("currency currencies"))
REFERENCES = frozenset(content_words("id number code reference ticket invoice sku serial"))
STREETS = frozenset(content_words("street address"))
POSTCODES = frozenset(content_words("zip zipcode postcode postal plz"))
DAYS = frozenset(content_words("date day when deadline due birthday"))
HOURS = frozenset(content_words("time hour start end"))
THINGS = frozenset(content_words("product item thing article ingredient food goods dish"))
MAIL = frozenset(content_words("email mail"))
LINKS = frozenset(content_words("url uri link website homepage"))
PHONES = frozenset(content_words("phone telephone mobile"))
TITLES = frozenset(content_words("title subject topic"))
NOT_PLACES = frozenset(
    {"tomorrow", "today", "tonight", "celsius", "fahrenheit", "people", "dinner", "lunch", "breakfast"}
)
COLOURS = frozenset(content_words("color colour"))
ANSWERS = frozenset(content_words("answer response reply result explanation solution translation"))
SUMMARIES = frozenset(content_words("summary description headline"))
REASONS = frozenset(content_words("justification reason reasoning rationale thought steps"))
WAYS = {"origin": "from", "from": "from", "destination": "to", "to": "to"}
COMPOSED = ANSWERS | REASONS | SUMMARIES | frozenset(content_words("setup punchline joke jok"))
"""Words of a property's name whose value is written, and not taken from the text."""
SUMS = frozenset(content_words("expression formula equation calculation"))
REFERENCE = re.compile(r"#\d+|\b(?=[A-Z\d-]{0,20}\d)[A-Z]{1,10}-?\d[\dA-Z-]{0,20}\b|(?<![\d.,-])\d{4,20}(?![\d.,]\d)")
LONGEST_SUMMARY = 200  # characters
LISTED = re.compile(
    r"(?:\b(?:an?\s+|the\s+)?[^\W\d_]{2,30}(?:\s[^\W\d_]{2,30})?,\s){1,20}"
    r"(?:an?\s+|the\s+)?[^\W\d_]{2,30},?\s(?:and|or|und|et)\s(?:an?\s+|the\s+)?[^\W\d_]{2,30}"
)
"""Three things or more: ``a laptop, a mouse and a keyboard``."""
ARTICLE = re.compile(r"^(?:an?|the)\s+")
PHONE = re.compile(r"(?<![\w.])\+?\(?\d[\d() -]{6,20}\d(?!\w)")
COUNTED_THING = re.compile(r"\b\d+\s+(?:x\s+|of\s+)?([^\W\d_]{3,30})")
ORDERED = re.compile(r"\b\d+\s*x\s*([^\W\d_]{3,30})")
LOWER_PLACE = re.compile(r"\b(?:in|for|at|to|from|near)\s+([a-z]{3,30})\b(?!\s+(?:of|the)\b)")
SAID = re.compile(
    r"\b(?:saying|says|say|that reads|reading|tell(?:ing)? (?:him|her|them))\s+(?:that\s+)?([^\n]{1,500})"
)
DISCUSSED = re.compile(r"\b(?:about|discuss|regarding|titled|called|on the topic of)\s+(?:the\s+)?([^.?!,;\n]{1,80})")
FORMATS: dict[str, tuple[Callable[[str], list[str]], str]] = {
    "date": (dates.dates_in, "2026-01-01"),
    "time": (dates.times_in, "00:00:00"),
    "date-time": (dates.moments_in, "2026-01-01T00:00:00Z"),
    "email": (patterns.EMAIL.findall, "someone@example.com"),
    "uri": (patterns.LINK.findall, "https://example.com"),
    "url": (patterns.LINK.findall, "https://example.com"),
}
"""For each format where its values are, and a value for when there is none."""
NOUN = re.compile(r"[^\W\d_]+")
COMMANDS = re.compile(
    r"^\W*(?:please\s+|can you\s+|could you\s+)*(?:"
    r"(?:search|look|google|query)\s+(?:up\s+)?(?:in\s+)?(?:(?:the|our|your)\s+)?"
    r"(?:docs?|documents?|documentation|web|internet|wiki(?:pedia)?|knowledge base|database|index)?\s*(?:for|about|:)?"
    r"|(?:look\s+up|find(?:\s+out)?|research|check|tell me|show me|explain)(?:\s+(?:more\s+)?about)?"
    r"|what(?:'s| is| are| was| were)|who(?:'s| is| was))\s*(?::\s*)?",
    re.IGNORECASE,
)
"""What asks for a search, before what to search for."""
PLACE_OF_SEARCH = re.compile(
    r"\s+(?:in|on|from)\s+(?:the\s+|our\s+|your\s+)?(?:docs?|documents|documentation|web|internet|wikipedia)\s*$",
    re.IGNORECASE,
)


def string_in(found: ExtractedValues, schema: dict[str, Any], key: str, *, required: bool = True) -> str | None:
    """Return the text's value for a string property; None if it has none.

    Args:
        found: The values of the text.
        schema: The property's schema, resolved.
        key: The property's name.
        required: Whether a string that has a format gets a value that the text does not have.
    """
    formatted, otherwise = _formatted(found, schema)
    if otherwise:
        return formatted or (otherwise if required else None)
    match = search(schema.get("pattern"), found.text)
    if match:
        return match.group()
    words = set(content_words(key))
    exact = _exact(found, words, key)
    if exact is not None:
        return exact
    said = found.after(key) if key else None
    if said:
        return said
    described = set(content_words(f"{schema.get('title', '')} {schema.get('description', '')}")) & (WHERE | SUMS)
    return _named(found, words, key) or _named(found, described, key)


def invented(found: ExtractedValues, key: str) -> str:
    """Return a value for a required string property that the text has nothing for.

    Args:
        found: The values of the text.
        key: The property's name; a joke's, an answer's and a reason's are made up, any other says that it is not known.
    """
    words = set(content_words(key))
    topic = topic_of(found.text[:2_000], found.topic)
    setup, punchline = joke_about(topic)
    if words & {"setup", "punchlin"}:
        return setup if "setup" in words else punchline
    if "jok" in words or "joke" in words:
        return f"{setup} {punchline}"
    if words & REASONS:
        return "The rules of the local workspace gave this answer."
    if words & SUMMARIES:
        return SENTENCE.split(found.text.strip(), maxsplit=1)[0][:LONGEST_SUMMARY]
    if words & ANSWERS:
        return composed_answer(Talk(found.text)) or "I have no rule that answers this."
    return "unknown"


def listed_for(found: ExtractedValues, key: str) -> list[str]:
    """Return the things that a text lists for a property: ``tags: a, b and c``; none if it lists none."""
    name = re.escape(key[:60]).replace("_", "[ _-]?")
    list_ = rf"\b{name}\b\W{{0,3}}(?:(?:are|is|includes?)\b\W{{0,2}})?([^.\n;]{{1,500}})"
    rest = re.search(list_, found.head, re.IGNORECASE) if key else None
    if rest is None and PEOPLE & set(content_words(key)):
        return found.names
    things = re.split(r"\s*,\s*(?:(?:and|or)\s+)?|\s+(?:and|or|und|et)\s+", _list_in(found.head, rest))
    return [ARTICLE.sub("", thing) for thing in things if thing] if len(things) > 1 else []


def _list_in(text: str, rest: re.Match[str] | None) -> str:
    """Return what stands after the name of a list; without the name, the first list of three things or more."""
    if rest is not None:
        return rest.group(1).strip()
    listed = LISTED.search(text)
    # Before the first comma there may be the verb: "she ordered a laptop, a mouse and a keyboard".
    return re.sub(r"^\w+\s+(?=(?:an?|the)\s|\w+,)", "", listed.group()) if listed else ""


def topic_of_search(text: str) -> str:
    """Return what to search for: a question without the words that ask for a search."""
    line = text.strip()
    for _ in range(3):  # "can you search the docs for what is ..." is three commands
        shorter = COMMANDS.sub("", line, count=1).strip()
        line = shorter if content_words(shorter) else line
    return PLACE_OF_SEARCH.sub("", line.rstrip(" ?!.")).strip() or text.strip()


def after_colon(text: str) -> str | None:
    """Return the text after the colon of an instruction: ``Translate this: ...``."""
    _, colon, rest = text.partition(": ")
    return rest.strip() if colon and rest.strip() else None


def _formatted(found: ExtractedValues, schema: dict[str, Any]) -> tuple[str | None, str]:
    """Return the value of a property that has a format, and a value for when the text has none; else None and empty."""
    described = re.search(
        r'format: "([a-z-]+)"', str(schema.get("description", ""))
    )  # the spelling in Google's schemas
    name = schema.get("format") or (described and described[1])
    if not isinstance(name, str) or name not in FORMATS:
        return None, ""
    values, otherwise = FORMATS[name]
    return found.take(values(found.head)), otherwise


def _exact(found: ExtractedValues, words: set[str], key: str) -> str | None:
    """Return the value of a property whose name says how its value is written."""
    text = found.head
    written = [
        *(patterns.EMAIL.findall(text) if words & MAIL or key in {"to", "cc", "bcc", "recipient"} else []),
        *(patterns.LINK.findall(text) if words & LINKS else []),
        *(map(str.strip, PHONE.findall(text)) if words & PHONES else []),
        *([*dates.dates_in(text), *dates.RELATIVE.findall(text)] if words & DAYS else []),
        *([time[:5] for time in dates.times_in(text)] if words & HOURS else []),
        *(REFERENCE.findall(text) if words & REFERENCES else []),
    ]
    return found.take(written)


def _named(found: ExtractedValues, words: set[str], key: str) -> str | None:
    """Return the text's value for a property whose name has these words: the first kind that fits."""
    for kind, value_of_kind in KINDS:
        if words & kind:
            return value_of_kind(found, key)
    return _place(found, key) if key in {"to", "from"} else found.take(found.quoted)


def _currency(found: ExtractedValues, _key: str) -> str | None:
    return found.take([CURRENCIES.get(word.lower(), word) for word in CURRENCY.findall(found.head)])


def _street(found: ExtractedValues, _key: str) -> str | None:
    street = found.take([match.strip() for match in STREET.findall(found.head)])
    found.used.update(name for name in found.names if street and name in street)
    return street


def _postcode(found: ExtractedValues, _key: str) -> str | None:
    return found.take(POSTCODE.findall(found.head))


def _sum(found: ExtractedValues, _key: str) -> str | None:
    return found.take([match.strip() for match in patterns.SUM.findall(found.head)])


def _place(found: ExtractedValues, key: str) -> str | None:
    """Return a place: a name after a preposition, else any name, else a word after a preposition."""
    way = WAYS.get(key.partition("_")[0])
    place = found.take([*(name for word, name in found.places if way is None or word == way), *found.names])
    if place is not None:
        return place
    words = [word for word in LOWER_PLACE.findall(found.head) if word not in STOPWORDS | dates.DAYS | NOT_PLACES]
    return found.take([word.capitalize() for word in words])


def _search(found: ExtractedValues, _key: str) -> str | None:
    return found.take(found.quoted) or topic_of_search(found.subject or found.text)


def _piece(found: ExtractedValues, _key: str) -> str | None:
    said = SAID.search(found.head)
    return found.take(found.quoted) or (said.group(1).strip() if said else after_colon(found.text))


def _thing(found: ExtractedValues, _key: str) -> str | None:
    return found.take([*found.quoted, *COUNTED_THING.findall(found.head)])


def _colour(found: ExtractedValues, key: str) -> str | None:
    """Return the word before what has the colour: ``blond`` for ``hair_color`` in ``blond hair``."""
    for noun in NOUN.findall(key.replace("_", " ")):
        match = re.search(rf"\b([^\W\d_]+)\s+{re.escape(noun)}\b", found.head, re.IGNORECASE)
        if match and match.group(1).lower() not in STOPWORDS:
            return match.group(1)
    return None


def _title(found: ExtractedValues, key: str) -> str | None:
    said = DISCUSSED.search(found.head)
    topic = said.group(1).strip() if said else ""
    in_topic = [name for name in found.names if name in topic]
    return found.take([*found.quoted, *in_topic, *filter(None, [topic]), *(found.names if key == "title" else [])])


def _person(found: ExtractedValues, _key: str) -> str | None:
    return found.take([*found.quoted, *found.names, *ORDERED.findall(found.head)])


CURRENCIES = {
    "$": "USD", "dollar": "USD", "dollars": "USD", "us dollars": "USD", "€": "EUR", "euro": "EUR", "euros": "EUR",
    "£": "GBP", "pound": "GBP", "pounds": "GBP", "¥": "JPY", "yen": "JPY", "franken": "CHF", "francs": "CHF",
}  # fmt: skip
CURRENCY = re.compile(
    rf"{patterns.CODE.pattern}|[$€£¥]|\b(?:{'|'.join(filter(str.isalpha, CURRENCIES))})\b", re.IGNORECASE
)
STREET = re.compile(
    r"\b\d{1,5}\s+(?:[A-Z][\w'.-]*\s+){1,4}(?:Street|St|Road|Rd|Avenue|Ave|Lane|Drive|Square|Way|Boulevard)\b"
    r"|\b[A-ZÄÖÜ][\w-]*(?:straße|strasse|str\.|weg|platz|allee|gasse)\s+\d{1,4}[a-z]?\b"
    r"|\b\d{1,4},?\s+rue\s+[\w' -]{2,40}"
)
POSTCODE = re.compile(r"(?<![\w.,-])\d{5}(?:-\d{4})?(?!\w|\.\d)|\b[A-Z]{1,2}\d[A-Z\d]?\s\d[A-Z]{2}\b")

KINDS: tuple[tuple[frozenset[str], Callable[[ExtractedValues, str], str | None]], ...] = (
    (CODES, _currency),
    (STREETS, _street),
    (POSTCODES, _postcode),
    (SUMS, _sum),
    (WHERE, _place),
    (WHOLE, _search),
    (PIECE, _piece),
    (THINGS, _thing),
    (COLOURS, _colour),
    (TITLES, _title),
    (PEOPLE, _person),
)
"""Words of a property's name, and where its value is then; the first row that fits decides."""
