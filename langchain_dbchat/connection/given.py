"""Read the settings that a user gives to the constructor or to a call, under any of their names.

Rule 1. A setting of the connection that is not marked `per_call` raises in a call, under each of its names.
Rule 2. Keywords that the OpenAI client accepts in addition to the body (``extra_headers``, ``extra_query``,
``extra_body``, ``timeout``) have the same meaning inside ``extra_body``, because databricks-langchain passes its
``extra_params`` to that client (databricks-langchain, ``chat_models.py``, ``_prepare_inputs``).
Rule 3. A setting of the connection inside ``extra_body`` raises, because it would be sent in the request's body.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

from pydantic import Secret, SecretStr

from langchain_dbchat.connection.marks import COMPLETION_LIMIT, QUERY, Marks, field_named, marks_of
from langchain_dbchat.connection.misspelled import is_secret_name, refuse_misspelled, unknown_field
from langchain_dbchat.connection.other_clients import REQUEST_FIELDS, foreign_names, translate
from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel


_WORDS: Mapping[type, str] = {
    str: "a string",
    int: "a whole number",
    Real: "a number",
    dict: "a mapping",
    Mapping: "a mapping",
}
"""What errors call the type of a setting."""

_DEEPEST = 250
"""Levels of a mapping or a list; pydantic writes no JSON of 255."""


def call_settings(cls: type[BaseModel], called: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a call by the names of their fields.

    Args:
        cls: The class of the model that is called.
        called: The settings under any of their names. Of two names of one field the later one counts, because a
            call's settings come after those that were bound; two mappings are joined.

    Returns:
        A new dict. Settings that were given inside ``extra_body`` are moved out of it.

    Raises:
        ValueError: If a setting cannot be given for one call, or is misspelled.
        TypeError: If a setting is of a wrong type.
    """
    if not called:
        return {}
    marks = marks_of(cls)
    settings: dict[str, Any] = {}
    fixed: list[str] = []
    for key, value in called.items():
        name = field_named(marks, key, value)
        if name not in marks.fields:
            meant = translate(name, value, marks.fields)
            if meant is not None:
                settings.update(call_settings(cls, meant))
                continue
            refuse_misspelled(cls, name)
        elif name not in marks.per_call:
            fixed.append(key if name in {key, "config_profile"} else f"{key} (another name of {name})")
            continue
        if name == "max_tokens":
            settings.pop("max_tokens_name", None)
            if key == COMPLETION_LIMIT:
                settings["max_tokens_name"] = key
        before = settings.pop(name, None)  # so the later of two names also takes the later position
        after = _plain(value) if name in marks.secret or name == QUERY else value
        if after is None and name in marks.no_none:
            continue
        _check_value(marks, key, name, after)
        is_both = isinstance(before, Mapping) and isinstance(after, Mapping)
        settings[name] = {**before, **after} if is_both else after
    if fixed:
        raise ValueError(
            f"{', '.join(sorted(fixed))} cannot be given for one call: give it to the constructor, or call "
            "model_copy(update={...}) for a model that differs in it."
        )
    return _with_extra_settings(marks, settings) if isinstance(settings.get("extra_body"), Mapping) else settings


def _check_value(marks: Marks, key: str, name: str, value: Any) -> None:
    """Raise if the value of a call's setting is of a wrong type or contains itself, as the constructor does."""
    kinds = marks.kinds.get(name)
    value = value.get_secret_value() if isinstance(value, SecretStr) else value
    if name == QUERY:
        _mapping(key, value)
    if name in marks.fields or name == QUERY:
        _check_depth(key, value)
    if kinds is None or value is None or (isinstance(value, kinds) and type(value) is not bool):
        return
    wanted = " or ".join(_WORDS[kind] for kind in kinds if kind in _WORDS)
    raise TypeError(f"{key} is a {type(value).__name__}, but it has to be {wanted}.")


def _mapping(key: str, value: Any) -> Mapping[str, Any]:
    """Return a mapping that may be None; raise if it is something else, or if one of its names is not a string."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{key} is a {type(value).__name__}, but it has to be a mapping.")
    wrong = next((name for name in value if not isinstance(name, str)), "")
    if not isinstance(wrong, str):
        raise ConfigurationError(f"{key} has the name {wrong!r}, but names are strings.")
    return value


def _check_depth(key: str, value: Any) -> None:
    """Raise if a mapping or a list contains itself, or has more levels than JSON is written with."""
    if isinstance(value, (Mapping, list, tuple)) and _is_deeper(value, _DEEPEST):
        raise ConfigurationError(f"{key} contains itself, or has more than {_DEEPEST} levels.")


def _is_deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    for item in inner:
        if isinstance(item, (Mapping, list, tuple)) and (not levels or _is_deeper(item, levels - 1)):
            return True
    return False


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
        ConfigurationError: If it is not a mapping, or has a name that is not a string.
    """
    body: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for key, value in _mapping("extra_body", extra).items():
        name = field_named(marks, key, value)
        if name == "extra_body":
            inner, also = split_extra(marks, value)
            body.update(inner)
            found.update(also)
        elif name in ("default_headers", QUERY):
            found[name] = {**found.get(name, {}), **_mapping(key, _plain(value))}
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
        ConfigurationError: If a name is not a string.
    """
    for key, value in _mapping(place, params).items():
        name = field_named(marks, key, value)
        if _is_of_connection(marks, name):
            raise _misplaced(marks, place, key, name)


def _is_of_connection(marks: Marks, name: str) -> bool:
    return name in marks.connection or name == QUERY or is_secret_name(name)


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


def hidden_setting(marks: Marks, key: str, value: Any) -> Any:
    """Return the value of a setting of a call that is bound; what may be a secret in it is wrapped.

    Args:
        marks: The marks of the class.
        key: The setting, under any of its names.
        value: Its value.
    """
    name = field_named(marks, key, value)
    if name in ("default_headers", QUERY):
        return hidden(value) if isinstance(value, Mapping) else value
    if name in marks.secret:
        return hidden(value)
    # It may contain headers (rule 2). One that contains itself raises in the call.
    if name == "extra_body" and isinstance(value, Mapping) and not _is_deeper(value, _DEEPEST):
        return {inner: hidden_setting(marks, inner, below) for inner, below in value.items()}
    return value


def copied_settings(cls: type[BaseModel], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a copy of a model gets, by the names of their fields.

    Args:
        cls: The class of the model.
        update: The values under any of the fields' names.

    Returns:
        A new dict; strings that are secrets are wrapped.

    Raises:
        ValueError: If a field is given twice, or does not exist: pydantic would ignore it, and the copy would, for
            example, call as the same user.
    """
    marks = marks_of(cls)
    named: dict[str, Any] = {}
    for key, value in update.items():
        name = field_named(marks, key, value)
        if name not in marks.fields:
            raise unknown_field(cls, key)
        if name in named:
            raise ValueError(f"{name!r} is given twice: as {key!r} and under another name.")
        named[name] = kept_secret(marks, name, value)
    if COMPLETION_LIMIT in update and "max_tokens_name" in marks.fields:
        named.setdefault("max_tokens_name", COMPLETION_LIMIT)
    return named


def kept_secret(marks: Marks, name: str, value: Any) -> Any:
    """Return the value of a field as a model contains it: a string that is a secret is wrapped.

    Args:
        marks: The marks of the class.
        name: The name of the field.
        value: Its value.
    """
    return SecretStr(value) if isinstance(value, str) and name in marks.secret else value


def is_setting(cls: type[BaseModel], name: str) -> bool:
    """Return whether a constructor accepts a name, or says what to do instead of it.

    Args:
        cls: The class of the model.
        name: The name.
    """
    marks = marks_of(cls)
    return field_named(marks, name, "") in marks.fields or name in foreign_names() or is_secret_name(name)


def constructor_settings(cls: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a constructor by the names of their fields.

    Args:
        cls: The class of the model.
        values: The settings under any of their names, also those of other clients.

    Returns:
        A new dict, without the settings that are None where a field does not allow None.

    Raises:
        ValueError: If a field is given twice, does not exist, or belongs elsewhere.
    """
    marks = marks_of(cls)
    named: dict[str, Any] = {}
    bodies: list[tuple[str, Any]] = []
    if COMPLETION_LIMIT in values and "max_tokens_name" in marks.fields:
        named["max_tokens_name"] = values.get("max_tokens_name") or COMPLETION_LIMIT
    for key, value in values.items():
        _check_depth(key, value)
        for name, meant in _meant(cls, marks, key, value):
            if name == "extra_body":
                bodies.append((key, meant))
            elif name in named and not (name == "max_tokens_name" and key == name):
                raise ValueError(f"{name!r} is given twice: as {key!r} and under another name.")
            else:
                named.setdefault(name, meant)
    if bodies:
        named["extra_body"] = _joined(bodies)
        _take_from_extra(marks, named)
    for place in ("query_params", "documents_params"):
        if isinstance(named.get(place), Mapping):
            check_params(marks, place, named[place])
    return {name: value for name, value in named.items() if value is not None or name not in marks.no_none}


def _meant(cls: type[BaseModel], marks: Marks, key: str, value: Any) -> Iterable[tuple[str, Any]]:
    """Return the fields, with their values, that one argument of a constructor means."""
    name = field_named(marks, key, value)
    if name in marks.fields:
        return ((name, value),)
    meant = translate(name, value, marks.fields)
    if meant is not None:
        return meant.items()
    if name in REQUEST_FIELDS and "extra_body" in marks.fields:
        return () if value is None else (("extra_body", {name: value}),)
    raise unknown_field(cls, key)


def _joined(bodies: list[tuple[str, Any]]) -> Any:
    """Join the request fields that were given under several names, such as ``extra_body`` and ``model_kwargs``."""
    given = [(key, body) for key, body in bodies if body is not None]
    if len(given) < 2:  # noqa: PLR2004  # nothing to join
        return given[0][1] if given else None
    joined: dict[str, Any] = {}
    for key, body in given:
        if not isinstance(body, Mapping):
            raise ValueError(f"{key} is {type(body).__name__}; it has to be a mapping of request fields.")  # noqa: TRY004  # pydantic reports a ValueError
        twice = sorted(joined.keys() & body.keys())
        if twice:
            raise ValueError(f"{', '.join(twice)} is given twice: in {key!r} and under another name of it.")
        joined.update(body)
    return joined


def _take_from_extra(marks: Marks, named: dict[str, Any]) -> None:
    """Move the settings out of ``extra_body``; the constructor's own settings override them."""
    if not isinstance(named.get("extra_body"), Mapping):
        return
    named["extra_body"], found = split_extra(marks, named["extra_body"])
    for name, inside in (("default_headers", "default_headers"), ("default_query", QUERY)):
        if inside in found:
            named[name] = {**found.pop(inside), **(named.get(name) or {})}
    named.update({name: value for name, value in found.items() if named.get(name) is None})
