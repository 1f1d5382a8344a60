"""Mark each setting once, where it is declared; every list of settings is derived from the marks.

Rule 1. A setting has one field and any number of other names. The constructor and a call accept the same names.
Rule 2. A setting of the connection that is not marked `per_call` raises in a call, under each of its names.
Rule 3. Keywords that the OpenAI client accepts in addition to the body (``extra_headers``, ``extra_query``,
``extra_body``, ``timeout``) have the same meaning inside ``extra_body``, because databricks-langchain passes its
``extra_params`` to that client (databricks-langchain, ``chat_models.py``, ``_prepare_inputs``).
Rule 4. A setting of the connection inside ``extra_body`` raises, because it would be sent in the request's body.
Rule 5. If a field does not allow None, None means the default (databricks-langchain's defaults are None).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import Secret, SecretStr

if TYPE_CHECKING:
    from pydantic import BaseModel

SettingKind = Literal["wire", "who", "where", "how", "http", ""]
"""The kind of a setting: a field of the request's body, who calls, where requests go, how they are sent, what is sent
in addition to the body (headers, query parameters), or none of these."""

NAMED = {"extra_headers": "default_headers"}
"""Other names of fields that are accepted in a call only."""

COMPLETION_LIMIT = "max_completion_tokens"
"""The other name of `max_tokens`. The name that a user gave is kept, because some endpoints accept only one of them."""

QUERY = "extra_query"
"""Query parameters of one call; `default_query` is the constructor's."""

ELSEWHERE: dict[str, tuple[frozenset[Any], str]] = {
    "use_responses_api": (frozenset({None, False}), "This class calls chat completions only."),
    "use_ai_gateway": (
        frozenset({None, False}),
        "Give a model service (model='system.ai.<model>') or the gateway's address (host='https://.../ai-gateway').",
    ),
    "use_ai_gateway_native_api": (frozenset({None, False}), "This class calls chat completions only."),
    "target_uri": (frozenset({None, "", "databricks"}), "Give profile=..., or workspace_client=..., instead."),
}
"""Settings of databricks-langchain that have no field here: the values that have no effect, and what to do instead."""

_REQUEST = frozenset(
    {
        "tools",
        "tool_choice",
        "response_format",
        "parallel_tool_calls",
        "stream",
        "stream_options",
        "structured",
        "functions",
        "function_call",
        "user",
        "metadata",
        "store",
        "min_p",
        "top_a",
        "logit_bias",
        "min_tokens",
        "max_new_tokens",
        "max_output_tokens",
        "prompt_logprobs",
        "custom_inputs",
        "stop_token_ids",
        "repetition_penalty",
        QUERY,
    }
)
"""Request fields that are not settings, but are not misspelled settings either."""

_SECRET_NAMES = frozenset(
    {
        "accesstoken",
        "authtoken",
        "authorization",
        "bearer",
        "bearertoken",
        "databrickstoken",
        "pat",
        "password",
        "secret",
    }
)
"""Names of credentials in other clients, without their underscores."""

_SECRET_ENDS = ("apikey", "accesstoken", "authtoken", "clientsecret", "secretkey", "databrickstoken")
"""Ends of such names that have a vendor's prefix: ``openai_api_key``, ``azure_client_secret``."""

_SIMILAR = 0.9
"""Similarity from which a name in a call counts as a misspelled setting: 'temprature' and 'temperature' have 0.95, the
request field 'speed' and 'seed' 0.89."""

_SIMILAR_TO_CONNECTION = 0.82
"""The same for settings of the connection, which must not reach a body: 'api_kye' and 'api_key' have 0.83."""

_SIMILAR_TO_FIELD = 0.7
"""The same for the constructor, which refuses every unknown name."""


@dataclass(frozen=True)
class Mark:
    """The mark of one setting.

    Args:
        *names: Other names of the field.
        kind: Its kind.
        per_call: Whether it may be given for one call.
        secret: Whether its value may be or contain a secret.
        variable: The environment variable from which a dumped model, which lacks the secret, loads it.
        shapes: Whether it shapes an answer although it is not a field of the body, so that a cache's key needs it.
        shown: Whether a trace or a cache's key may contain it.
    """

    names: tuple[str, ...] = ()
    kind: SettingKind = ""
    per_call: bool = False
    secret: bool = False
    variable: str = ""
    shapes: bool = False
    shown: bool = True


@dataclass(frozen=True)
class Marks:
    """The lists that are derived from the marks of a class.

    Attributes:
        aliases: Other names of fields, for the constructor.
        called: Other names of fields, for a call.
        wire: Fields of the request.
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
        hidden: Fields that traces and cache keys do not contain.
        no_none: Fields for which None means the default.
        fields: All fields.
    """

    aliases: Mapping[str, str]
    called: Mapping[str, str]
    wire: tuple[str, ...]
    who: tuple[str, ...]
    where: tuple[str, ...]
    connection: frozenset[str]
    session: tuple[str, ...]
    how: tuple[str, ...]
    per_call: frozenset[str]
    secret: frozenset[str]
    per_call_connection: tuple[str, ...]
    variables: Mapping[str, str]
    shaping: tuple[str, ...]
    hidden: frozenset[str]
    no_none: frozenset[str]
    fields: frozenset[str]


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
    named = {other: name for other, name in NAMED.items() if name in marks}

    def having(*kinds: SettingKind) -> tuple[str, ...]:
        return tuple(name for name, mark in marks.items() if mark.kind in kinds)

    return Marks(
        aliases=aliases,
        called={**aliases, **named},
        wire=having("wire"),
        who=having("who"),
        where=having("where"),
        connection=frozenset(having("who", "where", "how", "http")),
        session=having("who", "where", "how"),
        how=tuple(name for name in having("how") if marks[name].per_call and not marks[name].secret),
        per_call=frozenset(name for name, mark in marks.items() if mark.per_call),
        secret=frozenset(name for name, mark in marks.items() if mark.secret),
        per_call_connection=tuple(name for name in having("who", "where", "how") if marks[name].per_call),
        variables={name: mark.variable for name, mark in marks.items() if mark.variable},
        shaping=tuple(name for name, mark in marks.items() if mark.shapes or mark.kind == "wire"),
        hidden=frozenset(name for name, mark in marks.items() if mark.secret or not mark.shown),
        no_none=frozenset(name for name, field in cls.model_fields.items() if _refuses_none(field.annotation)),
        fields=frozenset(marks),
    )


def _refuses_none(annotation: Any) -> bool:
    return annotation is not Any and annotation is not None and type(None) not in get_args(annotation)


def field_named(marks: Marks, name: str, value: Any, *, call: bool) -> str:
    """Return the field that a name means.

    Args:
        marks: The marks of the class.
        name: The name, as the user gave it.
        value: Its value: LangChain's own ``profile`` is a dict of a model's capabilities; a string is the name of a
            profile in the configuration file.
        call: Whether it was given for a call.

    Returns:
        The field's name, or the given name if no field has it.
    """
    if name == "profile" and isinstance(value, str):
        return "config_profile"
    return (marks.called if call else marks.aliases).get(name, name)


def call_settings(cls: type[BaseModel], called: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a call by the names of their fields.

    Args:
        cls: The class of the model that is called.
        called: The settings under any of their names. Of two names of one field the later one counts, because a
            call's settings come after those that were bound.

    Returns:
        A new dict. Settings that were given inside ``extra_body`` are moved out of it.

    Raises:
        ValueError: If a setting cannot be given for one call, or is misspelled.
    """
    if not called:
        return {}
    marks = marks_of(cls)
    settings: dict[str, Any] = {}
    fixed: list[str] = []
    for key, value in called.items():
        name = field_named(marks, key, value, call=True)
        if name in ELSEWHERE:
            refuse_elsewhere(name, value)
            continue
        if name not in marks.fields:
            _refuse_misspelled(cls, name)
        elif name not in marks.per_call:
            fixed.append(key if name in {key, "config_profile"} else f"{key} (another name of {name})")
        if name == "max_tokens":
            settings.pop("max_tokens_name", None)
            if key == COMPLETION_LIMIT:
                settings["max_tokens_name"] = key
        settings.pop(name, None)  # so the later of two names also takes the later position
        settings[name] = _plain(value) if name in marks.secret else value
    if fixed:
        raise ValueError(
            f"{', '.join(sorted(fixed))} cannot be given for one call: give it to the constructor, or call "
            "model_copy(update={...}) for a model that differs in it."
        )
    return _with_extra_settings(marks, settings) if isinstance(settings.get("extra_body"), Mapping) else settings


def _with_extra_settings(marks: Marks, settings: dict[str, Any]) -> dict[str, Any]:
    """Move the settings out of ``extra_body``; settings that were given outside of it override them."""
    extra, found = split_extra(marks, settings["extra_body"])
    if not found:
        return settings
    merged = {**found, **settings, "extra_body": extra}
    for name in ("default_headers", QUERY):
        if name in found:
            merged[name] = {**found[name], **(merged[name] or {})}
    return merged


def split_extra(marks: Marks, extra: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split the value of ``extra_body`` into request fields and settings.

    Args:
        marks: The marks of the class.
        extra: The value of ``extra_body``.

    Returns:
        The request fields, and the settings by the names of their fields.

    Raises:
        ValueError: If it contains a setting of the connection.
    """
    body: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for key, value in extra.items():
        name = field_named(marks, key, value, call=True)
        if name == "extra_body":
            inner, also = split_extra(marks, value or {})
            body.update(inner)
            found.update(also)
        elif name in ("default_headers", QUERY):
            found[name] = {**found.get(name, {}), **(value or {})}
        elif name in marks.how:
            if value is not None:
                found[name] = value
        elif _is_of_connection(marks, name):
            if value is not None:
                raise _misplaced(marks, "extra_body", key, name)
        else:
            body[key] = value
    return body, found


def check_params(marks: Marks, place: str, params: Mapping[str, Any]) -> None:
    """Check that request fields contain no setting of the connection.

    Args:
        marks: The marks of the class.
        place: The field that contains them.
        params: The request fields.

    Raises:
        ValueError: If they contain one.
    """
    for key, value in params.items():
        name = field_named(marks, key, value, call=True)
        if _is_of_connection(marks, name):
            raise _misplaced(marks, place, key, name)


def _is_of_connection(marks: Marks, name: str) -> bool:
    return name in marks.connection or name == QUERY or _is_secret_name(name)


def _misplaced(marks: Marks, place: str, key: str, name: str) -> ValueError:
    or_call = " or to the call" if name in marks.per_call and place == "extra_body" else ""
    return ValueError(
        f"{place} contains {key!r}, which belongs to the connection and must not reach a request's body. Give it to "
        f"the constructor{or_call}."
    )


def _plain(value: Any) -> Any:
    """Unwrap a mapping that `bind` has wrapped as a secret."""
    inner = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    return value if isinstance(inner, str) else inner


def hidden(value: Any) -> Any:
    """Wrap a value that may be a secret, so that no repr and no dump shows it.

    Args:
        value: A string, or a mapping of headers; any other value is returned unchanged.

    Returns:
        The value, wrapped.
    """
    if isinstance(value, str):
        return SecretStr(value)
    return Secret(dict(value)) if isinstance(value, Mapping) else value


def refuse_elsewhere(name: str, value: Any) -> None:
    """Raise for a setting of databricks-langchain, unless its value has no effect there.

    Args:
        name: The setting.
        value: Its value.

    Raises:
        ValueError: If the value has an effect there.
    """
    harmless, instead = ELSEWHERE[name]
    if not isinstance(value, (str, bool, type(None))) or value not in harmless:
        raise ValueError(f"{name}={value!r} is a setting of databricks-langchain that has no meaning here. {instead}")


def unknown_field(cls: type[BaseModel], name: str) -> ValueError:
    """Return the error for a field that a class does not have; it suggests a similar name.

    Args:
        cls: The class.
        name: The given name.

    Returns:
        The error.
    """
    marks = marks_of(cls)
    similar = closest(cls, name, _SIMILAR_TO_FIELD)
    hint = f" Did you mean {similar!r}?" if similar else ""
    places = [place for place in ("extra_body", "query_params", "documents_params") if place in marks.fields]
    request = " or ".join(f"{place}={{...}}" for place in places)
    return ValueError(
        f"{cls.__name__} has no field {name!r}.{hint} A field of the request that has no setting of its own goes into "
        f"{request}, a header into default_headers={{...}}."
    )


def closest(cls: type[BaseModel], name: str, cutoff: float) -> str | None:
    """Return the setting with the most similar name.

    Args:
        cls: The class.
        name: The given name.
        cutoff: The least similarity, 0 to 1.

    Returns:
        One of the setting's names, or None.
    """
    marks = marks_of(cls)
    names = {_normalized(other): other for other in (*marks.fields, *marks.called, "profile")}
    plain = _normalized(name)
    for spelled in dict.fromkeys((plain, plain.removeprefix("databricks"))):  # DATABRICKS_HOST is `host`
        found = difflib.get_close_matches(spelled, names, n=1, cutoff=cutoff)
        if found:
            return names[found[0]]
    return None


@lru_cache(maxsize=256)
def _misspelled(cls: type[BaseModel], name: str) -> str | None:
    similar = closest(cls, name, _SIMILAR_TO_CONNECTION)
    if similar is None:
        return None
    marks = marks_of(cls)
    if marks.called.get(similar, similar) in marks.connection:
        return similar
    return closest(cls, name, _SIMILAR)


def _refuse_misspelled(cls: type[BaseModel], name: str) -> None:
    if name in _REQUEST:
        return
    similar = None if _normalized(name) in _SECRET_NAMES else _misspelled(cls, name)
    if similar is not None:
        raise ValueError(
            f"There is no setting {name!r}. Did you mean {similar!r}? A request field with exactly this name goes into "
            f"extra_body={{{name!r}: ...}}."
        )
    if _is_secret_name(name):
        raise ValueError(
            f"{name!r} would be sent in the body of the request, and it looks like a secret. Give a token as token=..."
        )


def _normalized(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _is_secret_name(name: str) -> bool:
    plain = _normalized(name)
    return plain in _SECRET_NAMES or plain.endswith(_SECRET_ENDS)
