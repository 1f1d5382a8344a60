"""The modules of the package that import the package of an extra at their top."""

from __future__ import annotations

from importlib.util import find_spec

__all__ = ["missing_package", "needs_extra"]

_NEEDS = {
    "langchain_dbchat.cli.embed_files": "pyarrow",
    "langchain_dbchat.integrations.mlflow.spans": "mlflow",
    "langchain_dbchat.integrations.otel": "opentelemetry",
    "langchain_dbchat.spark": "pyspark",
}


def needs_extra(module: str) -> bool:
    """Return whether a module, or the package it is in, imports the package of an extra."""
    return _package(module) is not None


def missing_package(module: str) -> str | None:
    """Return the package that a module imports and that is not installed; None if nothing is missing."""
    package = _package(module)
    return package if package is not None and find_spec(package) is None else None


def _package(module: str) -> str | None:
    return next((package for name, package in _NEEDS.items() if f"{module}.".startswith(f"{name}.")), None)
