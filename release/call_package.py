"""Make one call of each kind with the installed package; `install_package.py` runs it in clean environments."""

from __future__ import annotations

import asyncio
import platform
import subprocess
import sys
from importlib.metadata import version
from importlib.resources import files

import langchain_dbchat
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.local import LocalWorkspace


async def call_async(llm: ChatDatabricksCompat) -> tuple[str, str]:
    """Return the answers of `ainvoke` and of `astream`."""
    return (await llm.ainvoke("Say: hello")).text, "".join([chunk.text async for chunk in llm.astream("Say: hello")])


def main(command: str) -> None:
    """Check the installed files, call in four ways, embed, and run the command line."""
    assert langchain_dbchat.__version__ == version("langchain-dbchat")
    assert (files("langchain_dbchat") / "py.typed").is_file()
    assert "site-packages" in str(langchain_dbchat.__file__)
    with LocalWorkspace() as workspace:
        llm = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=workspace.host, token=workspace.token)
        embeddings = DatabricksEmbeddings(model="databricks-gte-large-en", host=workspace.host, token=workspace.token)
        assert llm.invoke("Say: hello").text == "hello"
        assert "".join(chunk.text for chunk in llm.stream("Say: hello")) == "hello"
        assert asyncio.run(call_async(llm)) == ("hello", "hello")
        assert len(embeddings.embed_query("hello")) == 1024  # noqa: PLR2004  # the size of GTE's vectors
        assert llm.profile
    shown = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert langchain_dbchat.__version__ in shown.stdout
    names = ("langchain-core", "httpx", "pydantic", "databricks-sdk")
    print(f"Python {platform.python_version()},", ", ".join(f"{name} {version(name)}" for name in names))


if __name__ == "__main__":
    main(sys.argv[1])
