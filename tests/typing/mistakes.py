"""A user's mistakes, which a type checker has to find: one error in each line that ends with "# error"."""

from __future__ import annotations

from pydantic import BaseModel

from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.local import LocalWorkspace


class Joke(BaseModel):
    """A joke."""

    setup: str


workspace = LocalWorkspace()
llm = ChatDatabricksCompat(model="m", temprature=0)  # error
llm = ChatDatabricksCompat(model="m", temperature="hot")  # error
llm = ChatDatabricksCompat(model="m", api="completions")  # error
llm = ChatDatabricksCompat(model="m", token=1)  # error
embeddings = DatabricksEmbeddings(model="m", temperature=0)  # error
embeddings = DatabricksEmbeddings(model="m", batch_size="20")  # error
joke = llm.with_structured_output(Joke).invoke("A joke").punchline  # error
rows: list[str] = embeddings.embed_query("x")  # error
workspace.assert_called_once(endpiont="m")  # error
workspace.assert_called_once(api="completions")  # error
workspace.requests[0].endpoint.upper()  # error
workspace.script("m").answer("a").anser("b")  # error
