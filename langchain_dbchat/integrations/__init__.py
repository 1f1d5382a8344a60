"""Connect the models to other tools and frameworks."""

__all__ = ["litellm_config", "prompt_caching", "registration"]
