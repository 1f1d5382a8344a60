"""Four demonstrations in one minute: a chain, an agent with two tools, retrieval, an agent that the workspace serves.

Run it with ``make demo``. It talks HTTP to an embedded workspace that it starts on this machine; ``--live`` (``make
demo LIVE=1``) runs the same code against the workspace that DATABRICKS_HOST and the usual ways of signing in name.
``--real`` (``make demo REAL=1``) adds a fifth: a small language model on this machine, behind the rules.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

print("Importing LangChain and langchain-dbchat ...", flush=True)  # on a cold disk this takes some seconds

MISSING = "This demo needs {}. Run it with `make demo`, or install it: pip install 'langchain-dbchat[demo]'"

try:
    from langchain.agents import create_agent
    from langchain_core.documents import Document
    from langchain_core.messages import AIMessageChunk, ToolMessage
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.tools import tool
    from langchain_core.vectorstores import InMemoryVectorStore
    from langchain_text_splitters import MarkdownTextSplitter

    from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
    from langchain_dbchat.errors import DatabricksError
    from langchain_dbchat.local import LocalWorkspace
except ImportError as missing:
    sys.exit(MISSING.format(missing.name or missing))

CHAT_MODEL = os.environ.get("DATABRICKS_MODEL", "databricks-claude-sonnet-4-6")
AGENT = os.environ.get("DATABRICKS_AGENT", "")
EMBEDDING_MODEL = os.environ.get("DATABRICKS_EMBEDDING_MODEL", "databricks-gte-large-en")
REPOSITORY = Path(__file__).resolve().parent.parent
DBCHAT = "dbchat" if shutil.which("dbchat") else os.path.relpath(Path(sys.executable).with_name("dbchat"))
NEXT = {
    "make demo REAL=1": "the same, and a small language model on this machine",
    f"{DBCHAT} local": "a workspace of your own on this machine, to call from any program",
    f"{DBCHAT} doctor": "your Databricks workspace: who you are, what works, what to fix",
    "make demo LIVE=1": "the same on that workspace",
    "README.md, docs/": "every feature with an example",
}
"""What to try after the demonstrations, and what it is."""


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}\n{'-' * len(text)}")


def run_chain() -> None:
    """Stream an LCEL chain: prompt, model, parser."""
    heading("1. An LCEL chain: prompt | model | parser")
    prompt = ChatPromptTemplate.from_messages(
        [("system", "You answer in one sentence."), ("human", "What is {topic} good for?")]
    )
    chain = prompt | ChatDatabricksCompat(model=CHAT_MODEL) | StrOutputParser()
    for text in chain.stream({"topic": "a serving endpoint"}):
        print(text, end="", flush=True)
    print()


@tool
def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"It is 12 °C and raining in {city}."


@tool
def get_population(city: str) -> str:
    """Get the population of a city."""
    inhabitants = {"Oslo": 709_037, "Bergen": 291_940}.get(city, 100_000)
    return f"{city} has {inhabitants:,} inhabitants."


def run_agent() -> None:
    """Stream an agent that calls both of its tools and answers."""
    heading("2. An agent with two tools")
    agent: Any = create_agent(ChatDatabricksCompat(model=CHAT_MODEL), [get_weather, get_population])
    question = "What is the weather in Oslo, and what is the population of Oslo?"
    print(f"> {question}")
    for message, _ in agent.stream({"messages": [("human", question)]}, stream_mode="messages"):
        if isinstance(message, ToolMessage):
            print(f"\n  [{message.name}] {message.content}")
        elif isinstance(message, AIMessageChunk):
            for call in message.tool_call_chunks:
                if call["name"]:
                    print(f"\n  calls {call['name']} ", end="", flush=True)
                print(call["args"] or "", end="", flush=True)
            print(message.text, end="", flush=True)
    print()


def run_retrieval() -> None:
    """Stream an answer from this repository's own documents, and show the passages that it rests on."""
    heading("3. Retrieval over this repository's documents")
    paths = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")]
    splitter = MarkdownTextSplitter(chunk_size=600, chunk_overlap=0)
    passages = splitter.split_documents(
        [Document(path.read_text("utf-8"), metadata={"source": path.name}) for path in sorted(paths)]
    )
    store = InMemoryVectorStore(DatabricksEmbeddings(model=EMBEDDING_MODEL))
    store.add_documents(passages)
    print(f"{len(passages)} passages of {len(paths)} documents embedded with {EMBEDDING_MODEL}.")
    question = "What are the runtime dependencies?"
    print(f"> {question}")
    found = store.similarity_search(question, k=3)
    prompt = ChatPromptTemplate.from_template(
        "Answer the question from the context alone.\n\nContext:\n{context}\n\nQuestion: {question}"
    )
    chain = prompt | ChatDatabricksCompat(model=CHAT_MODEL) | StrOutputParser()
    context = "\n\n".join(passage.page_content for passage in found)
    for text in chain.stream({"context": context, "question": question}):
        print(text, end="", flush=True)
    print("\nPassages used:")
    for passage in found:
        print(f"  - {passage.metadata['source']}: {' '.join(passage.page_content.split())[:90]}...")


def run_agent_endpoint(endpoint: str) -> None:
    """Stream the answer of an agent that the workspace serves, which calls tools of its own."""
    heading("4. An agent endpoint: its steps and its answer")
    if not endpoint:
        print("Set DATABRICKS_AGENT to the name of an agent endpoint, or to apps/<name of an app>.")
        return
    agent = ChatDatabricksCompat(model=endpoint)
    question = "What does a ChatAgent return?"
    print(f"{endpoint} is asked:\n> {question}")
    for chunk in agent.stream(question):
        for block in chunk.content_blocks:
            if block["type"] == "server_tool_call":
                print(f"\n  it calls {block['name']} {block['args']}")
            elif block["type"] == "server_tool_result":
                print(f"  [{block['status']}] {block['output']}")
            elif block["type"] == "text":
                print(block["text"], end="", flush=True)
    print()


def run_small_model() -> None:
    """Stream the answer to a question for which the rules have none."""
    heading("5. A small language model on this machine")
    question = "What is tea good for?"
    print(f"> {question}")
    for chunk in ChatDatabricksCompat(model=CHAT_MODEL).stream(question):
        print(chunk.text, end="", flush=True)
    print()


def main() -> int:
    """Run the demonstrations.

    Returns:
        The exit code: 0 if all of them ran.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--live", action="store_true", help="use the workspace in the environment")
    parser.add_argument("--real", action="store_true", help="show a small language model on this machine, too")
    options = parser.parse_args()
    live, real = options.live, options.real and not options.live
    started = time.monotonic()
    with ExitStack() as stack:
        if live:
            print(f"Workspace: {os.environ.get('DATABRICKS_HOST', 'as your profile says')}")
        else:
            if real:
                print("Starting SmolLM2 on this machine; the first time takes up to a minute ...", flush=True)
            try:
                workspace = stack.enter_context(LocalWorkspace(backend="smollm2" if real else None))
            except (ImportError, RuntimeError) as error:
                print(error, file=sys.stderr)
                return 1
            os.environ["DATABRICKS_HOST"], os.environ["DATABRICKS_TOKEN"] = workspace.host, workspace.token
            print(f"An embedded workspace answers at {workspace.host}: rule-based models, real HTTP, no account.")
        try:
            run_chain()
            run_agent()
            run_retrieval()
            run_agent_endpoint(AGENT or ("" if live else "agent-research"))
            if real:
                run_small_model()
        except DatabricksError as error:
            print(f"\n{error}", file=sys.stderr)
            return 1
    print(f"\nAll {'five' if real else 'four'} ran in {time.monotonic() - started:.1f} s.\n\nTry next:")
    columns = max(map(len, NEXT))
    for command, text in NEXT.items():
        if not (real and "REAL" in command):
            print(f"  {command:<{columns}}  {text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
