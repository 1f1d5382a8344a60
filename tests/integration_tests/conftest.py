"""What a model cannot do on Databricks is not asked of it: LangChain's standard tests for it are not collected."""

from __future__ import annotations

import pytest

_ASKS_FOR = {
    "test_json_mode": "supports_json_mode",
    "test_tool_choice": "has_tool_choice",
    "test_image_inputs": "supports_image_inputs",
    "test_image_tool_message": "supports_image_tool_message",
    "test_pdf_inputs": "supports_pdf_inputs",
    "test_pdf_tool_message": "supports_pdf_tool_message",
    "test_audio_inputs": "supports_audio_inputs",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the standard tests whose feature flag is off."""
    asked: list[pytest.Item] = []
    spared: list[pytest.Item] = []
    for item in items:
        flag = _ASKS_FOR.get(getattr(item, "originalname", ""))
        suite = getattr(item, "cls", None)
        off = flag is not None and suite is not None and hasattr(suite, flag) and not getattr(suite(), flag)
        (spared if off else asked).append(item)
    if spared:
        config.hook.pytest_deselected(items=spared)
        items[:] = asked
