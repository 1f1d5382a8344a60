"""Mark each setting once, where it is declared; every list of settings is derived from the marks.

Rule 1. A setting has one field and any number of other names. The constructor and a call accept the same names.
Rule 2. If a field does not allow None, None means the default (databricks-langchain's defaults are None).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from numbers import Real
from operator import attrgetter
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

SettingKind = Literal["wire", "who", "where", "how", "http", ""]
"""The kind of a setting: a field of the request's body, who calls, where requests go, how they are sent, what is sent
in addition to the body (headers, query parameters), or none of these."""

SettingGroup = Literal[
    "model and address",
    "signing in",
    "sampling and length",
    "reasoning",
    "agents",
    "batches",
    "texts and rows",
    "further request fields",
    "form of the answer",
    "timeouts and retries",
    "HTTP",
    "LangChain's own",
]
"""The heading under which `help()` shows a setting, in the order of the headings."""

_GROUPS: Mapping[SettingKind, SettingGroup] = {
    "wire": "sampling and length",
    "who": "signing in",
    "where": "model and address",
    "how": "timeouts and retries",
    "http": "HTTP",
    "": "LangChain's own",
}
"""The group of a mark that names none."""

COMPLETION_LIMIT = "max_completion_tokens"
"""The other name of `max_tokens`. The name that a user gave is kept, because some endpoints accept only one of them."""

QUERY = "extra_query"
"""Query parameters of one call; `default_query` is the constructor's."""


class Mark(NamedTuple):
    """The mark of one setting.

    Args:
        *names: Other names of the field.
        kind: Its kind.
        per_call: Whether it may be given for one call.
        secret: Whether its value may be or contain a secret.
        variable: The environment variable from which a dumped model, which lacks the secret, loads it.
        shapes: Whether it shapes an answer although it is not a field of the body, so that a cache's key needs it.
        shown: Whether a trace or a cache's key may contain it.
        group: The heading under which `help()` shows it; if it is empty, that of its kind.
    """

    names: tuple[str, ...] = ()
    kind: SettingKind = ""
    per_call: bool = False
    secret: bool = False
    variable: str = ""
    shapes: bool = False
    shown: bool = True
    group: SettingGroup | Literal[""] = ""


class Marks(NamedTuple):
    """The lists that are derived from the marks of a class.

    Attributes:
        aliases: Other names of fields.
        wire: Fields of the request.
        wire_values: Returns their values of an instance.
        who: Fields that say who calls.
        where: Fields that say where requests go.
        connection: Fields that say who calls, where, and how.
        session: Fields that a session is made from.
        how: Fields that say how a request is sent and may be given for one call.
        per_call: Fields that may be given for one call.
        secret: Fields whose value may be or contain a secret.
        per_call_connection: Fields of the connection that may be given for one call and are not a part of the request.
        variables: The environment variable of each secret field.
        shaping: Fields that shape an answer.
        shaping_values: Returns their values of an instance.
        hidden: Fields that traces and cache keys do not contain.
        no_none: Fields for which None means the default.
        fields: All fields.
        groups: The group of each field.
        kinds: The types of a value, for fields that are not a part of the request, and that have text, a mapping or a
            number.
    """

    aliases: Mapping[str, str]
    wire: tuple[str, ...]
    wire_values: Callable[[object], tuple[Any, ...]]
    who: tuple[str, ...]
    where: tuple[str, ...]
    connection: frozenset[str]
    session: tuple[str, ...]
    session_key: Callable[[object], Any]
    how: tuple[str, ...]
    per_call: frozenset[str]
    secret: frozenset[str]
    per_call_connection: tuple[str, ...]
    variables: Mapping[str, str]
    shaping: tuple[str, ...]
    shaping_values: Callable[[object], tuple[Any, ...]]
    hidden: frozenset[str]
    no_none: frozenset[str]
    fields: frozenset[str]
    groups: Mapping[str, SettingGroup]
    kinds: Mapping[str, tuple[type, ...]]


@lru_cache(maxsize=64)
def marks_of(cls: type[BaseModel]) -> Marks:
    """Return the lists that are derived from the marks of a class.

    Args:
        cls: A class whose fields are marked.

    Returns:
        The lists.
    """
    marks: dict[str, Mark] = {}
    for name, field in cls.model_fields.items():
        marks[name] = next((item for item in field.metadata if isinstance(item, Mark)), Mark())
    aliases = {other: name for name, mark in marks.items() for other in mark.names}

    def having(*kinds: SettingKind) -> tuple[str, ...]:
        return tuple(name for name, mark in marks.items() if mark.kind in kinds)

    shaping = tuple(name for name, mark in marks.items() if mark.shapes or mark.kind == "wire")

    return Marks(
        aliases=aliases,
        wire=having("wire"),
        wire_values=_values_of(having("wire")),
        who=having("who"),
        where=having("where"),
        connection=frozenset(having("who", "where", "how", "http")),
        session=having("who", "where", "how"),
        session_key=attrgetter(*having("who", "where", "how")),
        how=tuple(name for name in having("how") if marks[name].per_call and not marks[name].secret),
        per_call=frozenset(name for name, mark in marks.items() if mark.per_call),
        secret=frozenset(name for name, mark in marks.items() if mark.secret),
        per_call_connection=tuple(name for name in having("who", "where", "how") if marks[name].per_call),
        variables={name: mark.variable for name, mark in marks.items() if mark.variable},
        shaping=shaping,
        shaping_values=_values_of(shaping),
        hidden=frozenset(name for name, mark in marks.items() if mark.secret or not mark.shown),
        no_none=frozenset(name for name, field in cls.model_fields.items() if _refuses_none(field.annotation)),
        fields=frozenset(marks),
        groups={name: mark.group or _GROUPS[mark.kind] for name, mark in marks.items()},
        kinds={
            name: kinds
            for name, field in cls.model_fields.items()
            if (kinds := _kinds_of(field.annotation, marks[name].kind))
        },
    )


def _values_of(names: tuple[str, ...]) -> Callable[[object], tuple[Any, ...]]:
    """Return a function that returns the values of fields; it takes half of the time of a loop."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda model: tuple(getattr(model, name) for name in names)


def _refuses_none(annotation: Any) -> bool:
    return annotation is not Any and annotation is not None and type(None) not in get_args(annotation)


def _kinds_of(annotation: Any, kind: SettingKind) -> tuple[type, ...]:
    """Return the types of a value that is not a field of the request; empty if it is one, or has other types too."""
    parts = get_args(annotation) if isinstance(annotation, UnionType) or get_origin(annotation) is Union else ()
    if kind == "wire":
        return ()
    checked = {str, Mapping, dict, type(None), *([int, Real] if kind == "how" else [])}
    kinds: list[type] = []
    for part in parts or (annotation,):
        origin = Real if part is float else get_origin(part) or part
        kinds.extend({type(value) for value in get_args(part)} if origin is Literal else [origin])
    return tuple(kinds) if checked.issuperset(kinds) else ()


def field_named(marks: Marks, name: str, value: Any) -> str:
    """Return the field that a name means.

    Args:
        marks: The marks of the class.
        name: The name, as the user gave it.
        value: Its value: LangChain's own ``profile`` is a dict of a model's capabilities; a string is the name of a
            profile in the configuration file.

    Returns:
        The field's name, or the given name if no field has it.
    """
    if name == "profile" and isinstance(value, str):
        return "config_profile"
    return marks.aliases.get(name, name)
