"""Choose what the user can do about a refusal by a Databricks app, because an app is neither an endpoint nor an API.

Rule 1. An app is code of the customer's behind a proxy of Databricks. The proxy accepts OAuth tokens of users with
    CAN USE, sends everybody else to a login page, and ends requests that take longer than 120 s with a web page. A
    stopped app has no name in DNS (databricks-openai; docs.databricks.com/aws/en/dev-tools/databricks-apps).
Rule 2. The status keeps its class of error. Only the advice is another one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from langchain_dbchat.errors import DatabricksAuthenticationError, DatabricksTimeoutError

if TYPE_CHECKING:
    from langchain_dbchat.errors.meanings import Meaning

__all__ = ["STOPPED_APP", "advised_for_app", "is_app"]

STOPPED_APP = (
    "This name does not exist in DNS: the app is stopped or deleted, or its URL is misspelled. Start it under "
    "Compute > Apps, or with `databricks apps start`."
)
_SIGN_IN = (
    "An app accepts OAuth tokens only, of a user or a service principal with CAN USE on it. The credentials came from: "
    "{auth}. Give client_id=... and client_secret=..., or a profile of `databricks auth login`."
)
_LOGS = "This is a failure of the app's own code, or the app is starting. See its logs: add /logz to its URL."
_BY_STATUS = {
    401: _SIGN_IN,
    403: "The caller (credentials from: {auth}) needs CAN USE on the app; ask its owner.",
    404: "The app does not serve this path. MLflow's AgentServer serves /invocations, and /responses for a "
    "ResponsesAgent: choose api='responses' or api='agent', or give the URL of another app.",
    500: _LOGS,
    502: _LOGS,
    503: _LOGS,
    504: "The proxy in front of apps ends a request after 120 s. Stream the answer, and let the app send its steps "
    "as they happen.",
}


def is_app(host: str | None, endpoint: str | None = None) -> bool:
    """Return whether a request goes to a Databricks app.

    Args:
        host: Its host, with or without the port; None for no host.
        endpoint: The name that the user gave, such as ``"apps/helper"``; None for no name.
    """
    is_named = endpoint is not None and endpoint.startswith("apps/")
    return is_named or (host is not None and host.partition(":")[0].endswith(".databricksapps.com"))


def advised_for_app(meaning: Meaning, status: int) -> Meaning:
    """Return the meaning of an app's refusal, with advice about apps.

    Args:
        meaning: What the answer means from an endpoint.
        status: Its HTTP status.

    Returns:
        The same class of error with other advice, or the meaning itself.
    """
    if meaning.kind is DatabricksAuthenticationError:
        return replace(meaning, advice=_SIGN_IN)
    if meaning.kind is DatabricksTimeoutError:
        status = 504
    advice = _BY_STATUS.get(404 if status == 405 else status)  # noqa: PLR2004  # statuses read best as numbers
    return meaning if advice is None else replace(meaning, advice=advice)
