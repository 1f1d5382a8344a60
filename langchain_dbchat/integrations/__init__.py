"""Connect the models to other tools and frameworks."""

__all__ = ["prompt_caching", "registration"]
