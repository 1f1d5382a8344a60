"""Without the extra, the module says what to install."""

from __future__ import annotations

import subprocess
import sys

ABSENT = """
import sys
sys.modules["pyspark"] = None
try:
    import langchain_dbchat.spark
except ValueError as error:
    print(error)
"""


def test_the_extra_is_named() -> None:
    done = subprocess.run([sys.executable, "-c", ABSENT], capture_output=True, text=True, check=True)
    assert 'pip install "langchain-dbchat[spark]"' in done.stdout
