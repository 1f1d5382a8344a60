"""Connect the models to other tools and frameworks."""

__all__ = [
    "costs",
    "litellm_config",
    "mlflow",
    "otel",
    "prompt_caching",
    "pytest_plugin",
    "registration",
    "token_counts",
]
