"""Texts come in any iterable and are taken by position; what is not a list of texts raises with words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from kit.scripted import Received, Scripted, ScriptedServer
from langchain_dbchat import DatabricksEmbeddings

_REASON = 'needs pandas and pyarrow: pip install "langchain-dbchat[spark]"'
np = pytest.importorskip("numpy", reason=_REASON)
pd = pytest.importorskip("pandas", reason=_REASON)
pa = pytest.importorskip("pyarrow", reason=_REASON)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORDS = ["aa", "b", "cccc", "ddd"]
LENGTHS = [[2.0], [1.0], [4.0], [3.0]]
FRAME = pd.DataFrame({"text": ["x", "aa", "yy", "b", "cccc", "ddd"], "keep": [0, 1, 0, 1, 1, 1]})


def _lengths(request: Received) -> Scripted:
    texts = request.json["input"]
    return Scripted({"data": [{"index": i, "embedding": [float(len(text))]} for i, text in enumerate(texts)]})


@pytest.fixture
def embeddings() -> Iterator[DatabricksEmbeddings]:
    with ScriptedServer(_lengths) as server:
        yield DatabricksEmbeddings(model="e", host=server.url, token="t", batch_size=2)


def _documents(embeddings: DatabricksEmbeddings, texts: Any) -> Any:
    return embeddings.embed_documents(texts)


def _adocuments(embeddings: DatabricksEmbeddings, texts: Any) -> Any:
    return asyncio.run(embeddings.aembed_documents(texts))


def _or_none(embeddings: DatabricksEmbeddings, texts: Any) -> Any:
    return embeddings.embed_documents_or_none(texts)


def _aor_none(embeddings: DatabricksEmbeddings, texts: Any) -> Any:
    return asyncio.run(embeddings.aembed_documents_or_none(texts))


def _array(embeddings: DatabricksEmbeddings, texts: Any) -> Any:
    return embeddings.embed_array(texts).tolist()


def _aarray(embeddings: DatabricksEmbeddings, texts: Any) -> Any:
    return asyncio.run(embeddings.aembed_array(texts)).tolist()


every_way = pytest.mark.parametrize("embed", [_documents, _adocuments, _or_none, _aor_none, _array, _aarray])


class Column:
    """What a polars Series is to us."""

    def to_list(self) -> list[str]:
        """List it."""
        return list(WORDS)

    def __getitem__(self, index: int) -> str:
        raise KeyError(index)


@every_way
@pytest.mark.parametrize(
    "make",
    [
        lambda: tuple(WORDS),
        lambda: (word for word in WORDS),
        lambda: dict.fromkeys(WORDS).keys(),
        lambda: dict(enumerate(WORDS)).values(),
        lambda: FRAME[FRAME.keep == 1]["text"],
        lambda: FRAME[FRAME.keep == 1].set_index(pd.Index([9, 3, 0, 1]))["text"],
        lambda: pd.Index(WORDS),
        lambda: pd.Series(WORDS, dtype="string"),
        lambda: pd.Series(WORDS, dtype="category", index=list("dcba")),
        lambda: np.array(WORDS),
        lambda: np.array(WORDS, dtype=object),
        lambda: pa.array(WORDS),
        lambda: pa.chunked_array([WORDS[:1], WORDS[1:]]),
        Column,
    ],
)
def test_any_iterable_is_taken_by_position(
    embed: Callable[..., Any], make: Callable[[], Any], embeddings: DatabricksEmbeddings
) -> None:
    assert embed(embeddings, make()) == LENGTHS


@every_way
def test_nothing_to_embed_is_nothing(embed: Callable[..., Any], embeddings: DatabricksEmbeddings) -> None:
    assert len(embed(embeddings, iter(()))) == 0


@every_way
@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ("one text", "are one text; give a list"),
        (b"bytes", "are a bytes"),
        (None, "are a NoneType; give a list of strings"),
        (3, "are a int"),
        ({"a": "b"}, "are a dict"),
        (FRAME, "are a DataFrame; give a list of strings, or one column"),
        (pa.table({"a": WORDS}), "are a Table"),
        (np.array("text"), "are a single str"),
        (["a", None], r"Text 1 is missing \(None\)"),
        (pd.Series(["a", float("nan")]), r"Text 1 is missing \(nan\)"),
        (pd.Series(["a", "b", None], dtype="string"), "Text 2 is missing"),
        (pa.array(["a", None]), "Text 1 is missing"),
        (["a", 5], "Text 1 is a int, not a string"),
        (np.array([WORDS, WORDS]), "Text 0 is a list"),
        ([b"a"], "Text 0 is a bytes"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_list_of_texts_is_refused_with_words(
    embed: Callable[..., Any], texts: Any, says: str, embeddings: DatabricksEmbeddings
) -> None:
    with pytest.raises(TypeError, match=says):
        embed(embeddings, texts)


@pytest.mark.parametrize(
    ("given", "query", "document"),
    [
        ({"instruction": "i"}, "i", "i"),
        ({"instruction": "i", "query_instruction": "q"}, "q", "i"),
        ({"instruction": "i", "document_instruction": "d"}, "i", "d"),
        ({"instruction": "", "query_instruction": None}, None, None),
        ({"instruction": "i", "query_params": {"instruction": "p"}}, "p", "i"),
        ({"instruction": None}, None, None),
    ],
    ids=str,
)
def test_one_instruction_for_both_sides(given: dict[str, Any], query: str | None, document: str | None) -> None:
    with ScriptedServer(_lengths) as server:
        embeddings = DatabricksEmbeddings(model="e", host=server.url, token="t", **given)
        embeddings.embed_query("x")
        embeddings.embed_documents(["x"])
        asyncio.run(embeddings.aembed_query("x"))
        asyncio.run(embeddings.aembed_documents(["x"]))
    assert [request.json.get("instruction") for request in server.requests] == [query, document] * 2


def test_nothing_of_the_connection_reaches_the_body_of_an_embedding() -> None:
    for name in ("query_params", "documents_params"):
        given: dict[str, Any] = {name: {"api_key": "secret-3"}}
        with pytest.raises(ValueError, match=f"{name} contains 'api_key'"):
            DatabricksEmbeddings(model="e", **given)
