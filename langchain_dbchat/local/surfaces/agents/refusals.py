"""What agents refuse, in the words of MLflow's scoring server and of its AgentServer.

Rule 1. Model serving checks a request against the schema of the agent, and says which fields are missing and which are
extra (mlflow/models/utils.py, ``_enforce_schema``); an agent that fails is a 400 (mlflow/pyfunc/scoring_server).
Rule 2. An AgentServer answers as FastAPI does, with ``detail``: 400 for the parameters, 500 for a failure.
"""

from __future__ import annotations

from typing import Any

from langchain_dbchat.local.refusals import Refused, plain


def failed_schema(reason: str, body: dict[str, Any]) -> Refused:
    """Return the refusal of an endpoint.

    Args:
        reason: What is wrong.
        body: The body of the request.
    """
    shown = ", ".join(sorted(body))
    return plain(400, "BAD_REQUEST", f"Failed to enforce schema of data with the fields [{shown}]. Error: {reason}")


def bad_parameters(reason: str) -> Refused:
    """Return the refusal of an app.

    Args:
        reason: What is wrong.
    """
    text = f"Invalid parameters for ResponsesAgent: Invalid data for ResponsesAgentRequest: {reason}"
    return Refused(400, {"detail": text})


def crashed(error: Exception) -> Refused:
    """Return the answer of an endpoint whose agent failed.

    Args:
        error: What its function raised.
    """
    text = "Encountered an unexpected error while evaluating the model. Verify that the input is compatible with the "
    return plain(400, "BAD_REQUEST", f"{text}model for inference. Error '{error}'")


def crashed_app(error: Exception) -> Refused:
    """Return the answer of an app whose agent failed.

    Args:
        error: What its function raised.
    """
    return Refused(500, {"detail": str(error)})
