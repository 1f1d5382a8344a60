"""Apply the settings of one call to an instance of the embeddings.

Rule 1. A call accepts the same names as the constructor, except for the connection's address. A name that no setting
has is a field of the request, as for ``OpenAIEmbeddings.embed_documents(texts, **kwargs)``.
Rule 2. The call has an instance of its own, which is validated as any other. It shares the connection of the first one
unless the call changes that, and counts its usage there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from langchain_dbchat.connection.given import call_settings
from langchain_dbchat.connection.marks import QUERY, marks_of
from langchain_dbchat.connection.session import call_overrides

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_dbchat.embeddings.settings import EmbeddingSettings

__all__ = ["settings_for_call"]

EmbeddingsT = TypeVar("EmbeddingsT", bound="EmbeddingSettings")

_MERGED = ("default_headers", "default_query", "extra_body", "query_params", "documents_params")
"""Mappings of a call that add to those of the constructor."""


def settings_for_call(embeddings: EmbeddingsT, given: Mapping[str, Any]) -> tuple[EmbeddingsT, bool]:
    """Return an instance with the settings of one call.

    Args:
        embeddings: The instance that is called. It is not changed.
        given: The settings of the call, under any of their names, and further fields of the request.

    Returns:
        The new instance, and whether it has the same connection.

    Raises:
        ValueError: If a setting is misspelled, invalid, or cannot be given for one call.
        ConfigurationError: If a credential was given and is None.
    """
    cls = type(embeddings)
    marks = marks_of(cls)
    called = call_settings(cls, given)
    identity, how = call_overrides(marks, called)
    base = embeddings.with_credentials(**identity) if identity else embeddings
    request = {key: value for key, value in called.items() if key not in marks.fields and key != QUERY}
    fields = {key: value for key, value in called.items() if key in marks.fields and key not in identity}
    if QUERY in called:
        fields["default_query"] = called[QUERY]
    for place in ("query_params", "documents_params") if request else ():
        fields[place] = {**(fields.get(place) or {}), **request}
    for place in _MERGED:
        if fields.get(place):
            fields[place] = {**(getattr(base, place) or {}), **fields[place]}
    own = {name: getattr(base, name) for name in base.model_fields_set}
    return cls(**{"model": base.model, **own, **fields}), not identity and not how
