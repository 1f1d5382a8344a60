"""Return the MLflow resource of a model, or of another kind, so that an agent that is deployed with it may use it.

Rule 1. `log_model(resources=...)` takes objects of ``mlflow.models.resources``; Databricks gives the deployed agent
credentials for them (docs.databricks.com/aws/en/generative-ai/agent-framework/agent-authentication).
Rule 2. A name with two dots is a model service of Unity Catalog, and ``apps/<name>`` an app (`docs/apis.md`).
"""

from __future__ import annotations

from typing import Any

from langchain_dbchat.connection.session import endpoint_name
from langchain_dbchat.errors import ConfigurationError

__all__ = ["mlflow_resource", "resource_of"]

_APP = "apps/"
_DOTS = 2


def resource_of(model: str, *, on_behalf_of_user: bool | None = None) -> Any:
    """Return the resource of a model.

    Args:
        model: Name of the endpoint, model service or app.
        on_behalf_of_user: Whether the deployed agent uses the permissions of who calls it.

    Returns:
        An object of ``mlflow.models.resources``.

    Raises:
        ImportError: If MLflow is not installed.
        ConfigurationError: If the installed MLflow has no resource of this kind.
    """
    name = endpoint_name(model)
    kind = "DatabricksServingEndpoint"
    if name.startswith(_APP):
        kind, name = "DatabricksApp", name.removeprefix(_APP)
    elif name.count(".") >= _DOTS:
        kind = "DatabricksUCModelService"
    return mlflow_resource(kind, name, on_behalf_of_user=on_behalf_of_user)


def mlflow_resource(kind: str, name: str, *, on_behalf_of_user: bool | None = None) -> Any:
    """Return an MLflow resource of one kind.

    Args:
        kind: Name of a class of ``mlflow.models.resources``.
        name: Name of the resource.
        on_behalf_of_user: Whether the deployed agent uses the permissions of who calls it.

    Returns:
        An object of that class.

    Raises:
        ImportError: If MLflow is not installed.
        ConfigurationError: If the installed MLflow has no resource of this kind.
    """
    try:
        from mlflow.models import resources  # noqa: PLC0415  # an extra, loaded only where it is asked for
    except ImportError as error:
        raise ImportError('resources() needs MLflow: pip install "langchain-dbchat[mlflow]".') from error
    make = getattr(resources, kind, None)
    if make is None:
        raise ConfigurationError(f"This MLflow has no {kind} for {name!r}. Upgrade it: pip install -U mlflow.")
    return make(name, on_behalf_of_user)
