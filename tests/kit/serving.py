"""What the installed databricks-sdk can be shown of Databricks model serving."""

from __future__ import annotations

from pathlib import Path

import databricks.sdk
import pytest

_SOURCE = Path(databricks.sdk.__file__).with_name("credentials_provider.py").read_text("utf-8")

needs_a_folder_of_our_own = pytest.mark.skipif(
    "SERVING_CREDENTIALS_DIR" not in _SOURCE,
    reason="this databricks-sdk reads model serving's token at a fixed path, which a test cannot write to",
)
