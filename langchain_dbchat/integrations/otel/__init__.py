"""OpenTelemetry's spans and metrics for the calls of the models (extra ``otel``).

They are made as soon as the program has configured an SDK; nothing has to be called. `docs/observability.md` lists
them.
"""

from langchain_dbchat.integrations.otel.spans import observer

__all__ = ["observer"]
