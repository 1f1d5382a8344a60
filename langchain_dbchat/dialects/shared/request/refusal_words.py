"""The words with which servers refuse fields, as parts of patterns."""

from __future__ import annotations

__all__ = ["EXTRA", "GIVEN", "NAME", "NAMES", "NO", "NOT", "NOUN", "PLACE", "REFUSES", "UNKNOWN"]

NAME = r"(?:\\?\"[^\"\s]+\"|'[^'\s]+'|`[^`\s]+`|[A-Za-z_][\w.\[\]-]*\w|[A-Za-z_])"
NAMES = rf"\[?(?P<names>{NAME}(?:(?:,? and |,? or |, ){NAME})*)\]?"
NOUN = (
    r"(?:request )?(?:keyword )?"
    r"(?:fields?|names?|param(?:eter)?(?:s|\(s\))?|arguments?|keys?|options?|settings?|propert(?:y|ies))"
)
GIVEN = r"(?: supplied| provided| received| given| in request)?"
PLACE = rf"(?:^|[:;,.(\n]\s*|\b{NOUN}:? |\bthe |\buse of |\busing )"
EXTRA = r"extra (?:inputs are|fields) not permitted"
NOT = r"not (?:supported|permitted|allowed)"
NO = (
    r"(?:(?:is|are|was|were) (?:currently |only )?"
    rf"(?:{NOT}|not (?:available|accepted|recognized)|unsupported|unknown|unexpected|deprecated|no longer supported)"
    rf"|is not an? (?:supported|valid|recognized|known|allowed) {NOUN}"
    r"|(?:does|do) not support"
    r"|(?:cannot|can't|can not|may not|must not) (?:both |be both )?be (?:set|used|specified|combined|given)"
    rf"|{NOT})"
)
UNKNOWN = r"(?:unknown|unrecognized|unexpected|unsupported(?: value)?|extra|invalid|extraneous)"
REFUSES = r"(?:does not|do not|doesn't|don't|cannot|not) (?:support(?:ed)?|accept|allow|take|recognize)"
