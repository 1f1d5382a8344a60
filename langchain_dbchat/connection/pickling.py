"""Find the setting with which a model cannot be pickled, before the pickle fails in Python's own words."""

from __future__ import annotations

import io
import pickle
import sys
from types import FunctionType, ModuleType
from typing import Any

from langchain_dbchat.errors import ConfigurationError

__all__ = ["check_values"]

_BY_VALUE = ("cloudpickle", "dill")
"""Packages that pickle functions and classes by value: cloudpickle, also within pyspark, ray and joblib, and dill."""

_LOCAL = (
    "a function or a class that cannot be imported from a module. Define it at the top of a module, or pickle the "
    "model with cloudpickle"
)
_STAYS = (
    "an object that cannot leave its process, because it has a lock, a socket, or the like. Leave {name} out, and set "
    "it in the process that loads the model"
)


class _Trial(pickle.Pickler):
    """Pickler whose output is not used.

    Args:
        models: The class of models, which check their own values.
        by_value: Whether functions and classes are pickled by value, which always succeeds.
    """

    def __init__(self, models: type, *, by_value: bool) -> None:
        super().__init__(io.BytesIO(), pickle.HIGHEST_PROTOCOL)
        self._models = models
        self._by_value = by_value

    def persistent_id(self, value: Any) -> str | None:
        """Pass over models, which check themselves, and over what is pickled by value."""
        passed = (self._models, FunctionType, type, ModuleType) if self._by_value else self._models
        return "passed" if isinstance(value, passed) else None

    def error_of(self, value: Any) -> Exception | None:
        """Pickle a value, and return the error."""
        try:
            self.dump(value)
        except Exception as error:  # noqa: BLE001  # what a user's object raises
            return error
        return None


def check_values(model: object, models: type) -> None:
    """Raise if a value of a model cannot be pickled.

    Args:
        model: The model.
        models: The class of models, which check their own values.

    Raises:
        ConfigurationError: If one cannot be pickled; it names the setting, and does not show the value.
    """
    by_value = _is_pickled_by_value()
    for name, value in vars(model).items():
        error = _Trial(models, by_value=by_value).error_of(value)
        if error is not None:
            is_local = isinstance(error, (pickle.PicklingError, AttributeError)) and not by_value
            why = _LOCAL if is_local else _STAYS.format(name=name)
            raise ConfigurationError(f"{type(model).__name__} cannot be pickled: its {name!r} is or contains {why}.")


def _is_pickled_by_value() -> bool:
    """Return whether the pickle that asks for the model's state is one of a package that pickles by value."""
    frame = sys._getframe()  # noqa: SLF001  # the pickler does not say who it is
    while frame.f_back is not None:
        frame = frame.f_back
        if any(package in str(frame.f_globals.get("__name__")).split(".") for package in _BY_VALUE):
            return True
    return False
