"""Deploy agents with MLflow: the resources of `log_model`, and messages as items of a ResponsesAgent."""

from langchain_dbchat.integrations.mlflow.events import aresponse_events, response_events
from langchain_dbchat.integrations.mlflow.items import from_response_items, to_response_items
from langchain_dbchat.integrations.mlflow.resources import resources

__all__ = ["aresponse_events", "from_response_items", "resources", "response_events", "to_response_items"]
