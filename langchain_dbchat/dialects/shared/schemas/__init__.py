"""Fit the JSON schemas of tools and answers to what the server of a family supports.

The caller's own schema still validates the answer, and is never changed. Fitting a fitted schema changes nothing.

Rule 1. Older spellings are written as draft 2020-12 (`modern`).
Rule 2. The root of a tool's parameters is one plain object with explicit ``properties`` (`merged`).
Rule 3. If the server has a list of keywords, the others are translated, or described in the description (`subset`).
Rule 4. ``strict: true`` is sent with a closed schema only (`closed`). Nulls that only the closed schema allows are
    removed from the answer (`nulls`).
Rule 5. References are pointers into the schema (`references`).
Rule 6. A schema that cannot be sent raises before the request; the error names the tool and the property.
Rule 7. The parameters of a tool are fitted once for each family. The key of the cache is the content of the schema, so
    a changed schema is fitted again, and each call gets its own copy.
"""

from __future__ import annotations

import marshal
import re
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.shared.schemas.closed import close
from langchain_dbchat.dialects.shared.schemas.limits import without_limits
from langchain_dbchat.dialects.shared.schemas.merged import NotAnObject, is_plain, plain_object
from langchain_dbchat.dialects.shared.schemas.modern import modernise
from langchain_dbchat.dialects.shared.schemas.nulls import PartialNulls, drop_nulls
from langchain_dbchat.dialects.shared.schemas.parts import Document, Schema, UnfitSchema, map_schemas
from langchain_dbchat.dialects.shared.schemas.references import settle_references
from langchain_dbchat.dialects.shared.schemas.subset import fit_subset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_dbchat.models.families import Family

_FORMAT = 2
"""The version of `marshal` that writes equal values as equal bytes; later ones also write which objects are shared."""

__all__ = ["PartialNulls", "drop_nulls", "fit_answer", "fit_parameters", "without_limits"]


def fit_parameters(
    parameters: Mapping[str, Any] | None, family: Family, tool: str, *, strict: bool = False, model: str = ""
) -> tuple[Schema, bool]:
    """Fit the parameters of a tool to a family.

    Args:
        parameters: The tool's JSON schema; None or an empty one if it has no arguments.
        family: The row of the model that is called.
        tool: The tool's name, for errors.
        strict: Whether the schema is sent with ``strict: true``.
        model: The endpoint's name, for errors.

    Returns:
        One plain object with explicit properties, and whether it allows nulls that the caller's schema does not allow:
        `drop_nulls` removes those from the arguments.

    Raises:
        ValueError: If the parameters cannot be fitted.
    """
    schema: Any = parameters or {}
    with _Naming(f"The tool {tool!r}"):
        try:
            fitted, added_nulls = _fit_once(marshal.dumps(schema, _FORMAT), family, strict)
        except ValueError:  # it has other values than JSON's, or cannot be sent; here the error can name the model
            return _fit_parameters(schema, family, model, strict=strict)
        return marshal.loads(fitted), added_nulls  # noqa: S302  # the bytes are our own


@lru_cache(maxsize=512)
def _fit_once(packed: bytes, family: Family, strict: bool) -> tuple[bytes, bool]:
    fitted, added_nulls = _fit_parameters(marshal.loads(packed), family, "", strict=strict)  # noqa: S302  # as above
    return marshal.dumps(fitted), added_nulls


def _fit_parameters(schema: Mapping[str, Any], family: Family, model: str, *, strict: bool) -> tuple[Schema, bool]:
    whole = _settled(schema, family, of_tool=True)
    added_nulls = False
    if strict:
        whole, added_nulls = _closed(whole)
    return _for_family(whole, family, model), added_nulls


def fit_answer(  # noqa: PLR0913  # each is a fact of its own
    schema: Mapping[str, Any],
    family: Family,
    name: str,
    *,
    strict: bool | None,
    written: bool,
    drops_nulls: bool,
    model: str = "",
) -> tuple[Schema, bool | None]:
    """Fit the schema of a structured answer to a family, and decide whether it is sent as a strict one.

    Args:
        schema: The JSON schema.
        family: The row of the model that is called.
        name: The schema's name, for errors.
        strict: The caller's value: True, False, or None for the family's default.
        written: Whether the caller wrote the response format, and may have left ``strict`` out on purpose.
        drops_nulls: Whether the reader of the answer removes the nulls that only a closed schema allows.
        model: The endpoint's name, for errors.

    Returns:
        The schema, and the value of ``strict``, None if it is not sent.

    Raises:
        ValueError: If the schema cannot be fitted, or cannot be closed although the caller wants that.
    """
    written = written and not drops_nulls
    with _Naming(f"The schema {name!r}"):
        whole = _settled(schema, family, of_tool=False)
        if family.strict_formats == "none":
            return _for_family(whole, family, model), None
        if strict and not (written and family.strict_formats == "any"):
            return _for_family(_closed(whole)[0], family, model), True
        if strict is None and family.strict_formats == "default" and not written:
            closed = _if_closable(whole, nulls=drops_nulls)
            if closed is not None:
                return _for_family(closed, family, model), True
        return _for_family(whole, family, model), strict


def _settled(schema: Mapping[str, Any], family: Family, *, of_tool: bool) -> Schema:
    """Do what all families need: draft 2020-12, a plain root, and references that name a part of the schema."""
    checked = family.schemas_checked
    references: set[str] = set()
    settled: Schema = modernise(schema, checked=checked, references=references)
    document = Document(settled)
    if of_tool:
        settled = plain_object(settled, document)
    elif _is_object_spelled_otherwise(settled):
        with suppress(NotAnObject):  # the answer is not an object, so the schema is not changed
            settled = plain_object(settled, document)
    elif family.plain_format_root and not is_plain(settled):
        settled = plain_object(settled, document)
    if references:
        settled = settle_references(settled, document, references, checked=checked)
    return settled


def _is_object_spelled_otherwise(schema: Schema) -> bool:
    """Return whether a root is one object in another spelling; a choice of several is not."""
    if "anyOf" in schema or "oneOf" in schema or "enum" in schema or "const" in schema:
        return False
    if "$ref" in schema or "allOf" in schema:
        return True
    return "properties" in schema and "type" not in schema


def _for_family(schema: Schema, family: Family, model: str = "") -> Schema:
    if family.property_names:
        pattern = re.compile(family.property_names)
        who = repr(model) if model else "the endpoint"
        for name in schema.get("properties", ()):
            if not pattern.fullmatch(name):
                raise UnfitSchema(
                    f"its property {name!r} has a name that {who} does not take: names match "
                    f"{family.property_names}. Rename it (in Pydantic, give the field an alias that matches)"
                )
    if schema.get("type") == "object" and "properties" not in schema:
        schema = {**schema, "properties": {}}  # GPT: "object schema missing properties"
    if family.schema_keywords is not None:
        return fit_subset(schema, family.schema_keywords)
    return dict(_with_items(schema) if family.schema_array_items else schema)


def _with_items(node: Any) -> Any:
    """Add ``items`` to every array without them; an empty schema allows any value."""
    if not isinstance(node, dict):
        return node
    kind = node.get("type")
    if (kind == "array" or (isinstance(kind, list) and "array" in kind)) and "items" not in node:
        node = {**node, "items": {}}
    return map_schemas(node, _with_items)


def _closed(schema: Schema) -> tuple[Schema, bool]:
    try:
        return close(schema, willing=True)
    except UnfitSchema as unfit:
        unfit.reason = (
            f"{unfit.reason}, which strict=True does not allow. Name every property and give each a type, or leave "
            "strict out"
        )
        raise


def _if_closable(schema: Schema, *, nulls: bool) -> Schema | None:
    try:
        closed, added_nulls = close(schema, willing=False)
    except (UnfitSchema, RecursionError):
        return None  # the caller did not request a strict schema
    return closed if nulls or not added_nulls else None


class _Naming:
    """Context that turns an error about a schema into one that names the tool and the property.

    Args:
        what: The tool or the schema, as the error names it.
    """

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UnfitSchema):
            raise ValueError(  # noqa: TRY004  # a schema is a value
                f"{self._what} cannot be sent: at {error.place}, {error.reason}."
            ) from None
        if isinstance(error, RecursionError):
            raise ValueError(  # noqa: TRY004  # the same
                f"{self._what} cannot be sent: its schema is nested too deeply."
            ) from None
