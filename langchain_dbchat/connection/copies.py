"""Copy and pickle a model: for threads, for other processes (Spark, Ray, multiprocessing), for checkpoints.

Rule 1. A shallow copy has no session and nothing else that was made from the fields, because it may get other values.
Rule 2. A deep copy shares what cannot be copied, such as an HTTP client or a rate limiter, with the model.
Rule 3. A pickle with a value that stays in its process raises, and the error names the setting. cloudpickle pickles
functions by value, so a function without a place in a module is an error of plain pickle alone.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from langchain_dbchat.connection.session import FieldCache

if TYPE_CHECKING:
    from pydantic import BaseModel
    from typing_extensions import Self

    class _CopiedModel(BaseModel):
        """The class that the mixin is mixed into."""
else:
    _CopiedModel = object  # a mixin is not a model, so pydantic builds no schema for it

__all__ = ["Copies"]

_PLAIN = (str, bytes, int, float, type(None))


class Copies(_CopiedModel):
    """Mixin of models that are copied and pickled as plain data."""

    def __copy__(self) -> Self:
        """Copy the model without what was made from its fields."""
        copied = super().__copy__()
        private: dict[str, Any] = copied.__pydantic_private__ or {}
        private.update({name: FieldCache() for name, value in private.items() if isinstance(value, FieldCache)})
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy the model and its values; share those that cannot be copied."""
        memo = {} if memo is None else memo
        for value in self.__dict__.values():
            if not isinstance(value, _PLAIN):
                try:
                    copy.deepcopy(value, memo)
                except Exception:  # noqa: BLE001  # what a user's object raises
                    memo[id(value)] = value
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[Any, Any]:
        """Return what a pickle contains; raise if a value cannot be pickled."""
        if not all(isinstance(value, _PLAIN) for value in self.__dict__.values()):
            from langchain_dbchat.connection.pickling import check_values  # noqa: PLC0415  # few programs pickle a model

            check_values(self, Copies)
        return super().__getstate__()
