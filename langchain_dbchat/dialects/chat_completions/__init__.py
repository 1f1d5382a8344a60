"""OpenAI's chat completions, as Databricks serves them."""
