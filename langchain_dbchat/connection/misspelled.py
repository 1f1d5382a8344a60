"""Find the setting that a misspelled name means, and refuse names of secrets that would be sent in a body."""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import TYPE_CHECKING

from langchain_dbchat.connection.marks import QUERY, marks_of

if TYPE_CHECKING:
    from pydantic import BaseModel

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
        "clientassertion",
        "cookie",
        "databrickstoken",
        "jwt",
        "openaikey",
        "passphrase",
        "pat",
        "secret",
    }
)
"""Names of credentials in other clients, without their underscores."""

_SECRET_ENDS = (
    "accesstoken", "adtoken", "adtokenprovider", "apikey", "authorization", "authtoken", "clientsecret", "credential",
    "credentials", "databrickstoken", "idtoken", "password", "privatekey", "refreshtoken", "secretaccesskey",
    "secretkey", "sessiontoken",
)  # fmt: skip
"""Ends of such names that have a vendor's prefix: ``openai_api_key``, ``azure_client_secret``."""

_SIMILAR = 0.9
"""Similarity from which a name in a call counts as a misspelled setting: 'temprature' and 'temperature' have 0.95, the
request field 'speed' and 'seed' 0.89."""

_SIMILAR_TO_CONNECTION = 0.82
"""The same for settings of the connection, which must not reach a body: 'api_kye' and 'api_key' have 0.83."""

_SIMILAR_TO_FIELD = 0.7
"""The same for the constructor, which refuses every unknown name."""


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
    names = {_normalized(other): other for other in (*marks.fields, *marks.aliases, "profile")}
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
    if marks.aliases.get(similar, similar) in marks.connection:
        return similar
    return closest(cls, name, _SIMILAR)


def refuse_misspelled(cls: type[BaseModel], name: str) -> None:
    """Refuse a name that would be sent in the body of a request although it means a setting or a secret.

    Args:
        cls: The class of the model.
        name: The name, which is not the name of a setting.

    Raises:
        ValueError: If it is nearly the name of a setting, or looks like the name of a secret.
    """
    if name in _REQUEST:
        return
    similar = None if _normalized(name) in _SECRET_NAMES else _misspelled(cls, name)
    if similar is not None:
        raise ValueError(
            f"There is no setting {name!r}. Did you mean {similar!r}? A request field with exactly this name goes into "
            f"extra_body={{{name!r}: ...}}."
        )
    if is_secret_name(name):
        raise ValueError(
            f"{name!r} would be sent in the body of the request, and it looks like a secret. Give a token as token=..."
        )


def _normalized(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def is_secret_name(name: str) -> bool:
    """Return whether a name is one that other clients have for a secret."""
    plain = _normalized(name)
    return plain in _SECRET_NAMES or plain.endswith(_SECRET_ENDS)
