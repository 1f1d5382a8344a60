"""LangChain chat models and embeddings for Databricks model serving."""
