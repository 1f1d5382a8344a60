"""`dbchat embed`: what is written, what is asked for again after a failure or Ctrl-C, and what is refused."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from kit.commands import Script
from kit.scripted import Received, Scripted, ScriptedServer
from kit.sign_in import DENIED, PAT
from langchain_dbchat.local import LocalWorkspace

pytest.importorskip("rich")
pytest.importorskip("pyarrow")
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 4000  # more than two slices


def vector(text: str) -> list[float]:
    """The embedding that `Vectors` gives a text."""
    return [float(len(text)), float(sum(text.encode()) % 1000)]


class Vectors(ScriptedServer):
    """Embeds texts until it is told to fail."""

    def __init__(self) -> None:
        super().__init__(self._reply)
        self.asked: list[str] = []
        self.fails_after = 10**9
        self.failure = DENIED

    def _reply(self, received: Received) -> Scripted:
        texts = received.json["input"]
        if len(self.asked) >= self.fails_after:
            return self.failure
        if any("bad" in text for text in texts):
            return Scripted({"error_code": "BAD_REQUEST", "message": "cannot embed this"}, 400)
        self.asked += texts
        rows = [{"object": "embedding", "index": at, "embedding": vector(text)} for at, text in enumerate(texts)]
        return Scripted({"object": "list", "data": rows, "usage": {"prompt_tokens": 1, "total_tokens": 1}})


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABRICKS_TOKEN", PAT)
    monkeypatch.setenv("DATABRICKS_EMBEDDING_MODEL", "vectors")


def write(texts: list[str | None], path: str = "in.parquet") -> None:
    pq.write_table(pa.table({"id": list(range(len(texts))), "text": texts}), path)


def written(path: str = "out.parquet") -> dict[str, list[object]]:
    found: dict[str, list[object]] = pq.read_table(path).to_pydict()
    return found


def test_each_row_gets_the_embedding_of_its_text(script: Script) -> None:
    texts = [f"Text {number}" for number in range(ROWS)]
    write([*texts, None])
    with Vectors() as server:
        assert script("embed", "in.parquet", "out.parquet", "--host", server.url) == 0
    assert script.out == f"out.parquet: {ROWS:,} rows embedded.\n"
    assert script.err == ""
    found = written()
    assert found["id"] == list(range(ROWS + 1))
    assert found["text"] == [*texts, None]
    assert found["embedding"] == [*map(vector, texts), None]
    assert sorted(server.asked) == sorted(texts)
    assert sorted(path.name for path in Path().iterdir()) == ["in.parquet", "out.parquet"]


@pytest.mark.parametrize("fails_after", [0, 100, 2500])
def test_after_a_failure_only_the_rest_is_asked_for(fails_after: int, script: Script) -> None:
    texts = [f"Text {number}" for number in range(ROWS)]
    write(list(texts))
    with Vectors() as server:
        words = ("embed", "in.parquet", "out.parquet", "--host", server.url)
        server.fails_after = fails_after
        assert script(*words) == 1
        done = len(server.asked)
        assert "needs CAN QUERY" in script.err
        said = f"{done:,} of {ROWS:,} rows are saved in out.parquet.rows; run the command again to go on."
        assert (said in script.err) == Path("out.parquet.rows").exists() == (done > 0)
        assert not Path("out.parquet").exists()
        server.fails_after = 10**9
        assert script(*words, "--json") == 0
    assert script.json == {"output": "out.parquet", "embedded": ROWS - done, "kept": done}
    assert sorted(server.asked) == sorted(texts)
    assert written()["embedding"] == list(map(vector, texts))


def test_a_text_that_is_refused_does_not_stop_the_others(script: Script) -> None:
    write(["one", "bad", "three"])
    with Vectors() as server:
        words = ("embed", "in.parquet", "out.parquet", "--host", server.url)
        assert script(*words) == 1
        assert "1 of the texts cannot be embedded; the first is in row 1, counted from 0: " in script.err
        assert "2 of 3 rows are saved" in script.err
        write(["one", "good", "three"])  # what was changed is asked for again, and nothing else
        assert script(*words) == 0
    assert sorted(server.asked) == ["good", "one", "three"]
    assert written()["embedding"] == list(map(vector, ["one", "good", "three"]))


def test_rows_of_another_model_or_text_are_not_used(script: Script) -> None:
    write(["one", "bad", "three"])
    with Vectors() as server:
        words = ("embed", "in.parquet", "out.parquet", "--host", server.url)
        assert script(*words) == 1
        assert script(*words, "--normalize") == 1
        assert sorted(server.asked) == ["one", "one", "three", "three"]
        write(["three", None])
        assert script(*words, "--normalize") == 0
    assert server.asked[4:] == ["three"]
    assert len(written()["embedding"]) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_ctrl_c_keeps_what_is_done(script: Script, tmp_path: Path) -> None:
    pytest.importorskip("pyte")
    from kit.terminal import Terminal, assert_well_shown

    texts = [f"Text {number}" for number in range(ROWS)]
    write(list(texts))
    with Vectors() as server:
        server.fails_after, server.failure = 1600, Scripted(b"{}", wait=120)
        words = ("embed", "in.parquet", "out.parquet", "--host", server.url)
        with Terminal(*words, folder=tmp_path) as screen:
            screen.wait_for("1600/4000")
            screen.interrupt()
            assert screen.finish() == 130
        assert_well_shown(screen, PAT)
        assert screen.words == (
            "dbchat: Stopped. 1,600 of 4,000 rows are saved in out.parquet.rows; run the command again to go on."
        )
        server.fails_after = 10**9
        assert script(*words) == 0
    assert script.out == "out.parquet: 2,400 rows embedded, 1,600 were done before.\n"
    assert sorted(server.asked) == sorted(texts)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.csv", 'n,body\n1,"two\nlines"\n2,b\n'),
        ("in.jsonl", "".join(json.dumps({"n": n, "body": body}) + "\n" for n, body in [(1, "two\nlines"), (2, "b")])),
    ],
)
def test_other_files(name: str, content: str, script: Script) -> None:
    Path(name).write_text(content)
    with Vectors() as server:
        assert script("embed", name, "out.parquet", "--as", "vector", "--host", server.url) == 0
    assert written() == {"n": [1, 2], "body": ["two\nlines", "b"], "vector": [vector("two\nlines"), vector("b")]}


def test_line_breaks_within_the_values_of_a_large_csv_file(script: Script) -> None:
    texts = [f"{number}\n" * 200 for number in range(2500)]  # more than is read at once
    with Path("in.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts)])
    assert Path("in.csv").stat().st_size > 2_000_000
    with Vectors() as server:
        assert script("embed", "in.csv", "out.parquet", "--host", server.url) == 0
    assert written()["text"] == texts


def test_a_table_without_rows(script: Script) -> None:
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), "in.parquet")
    with Vectors() as server:
        assert script("embed", "in.parquet", "out.parquet", "--host", server.url) == 0
    assert written() == {"text": [], "embedding": []}
    assert server.requests == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("missing.parquet", "out.parquet"), "missing.parquet does not exist."),
        (("in.txt", "out.parquet"), "in.txt is none of .parquet, .csv and .jsonl."),
        (("broken.parquet", "out.parquet"), "broken.parquet cannot be read: "),
        (("in.parquet", "in.parquet"), "in.parquet exists already. Remove it, or give another name."),
        (("in.parquet", "out.csv"), "the output is a Parquet file"),
        (("in.parquet", "nowhere/out.parquet"), "nowhere/out.parquet cannot be written: No such file or directory."),
        (("in.parquet", "out.parquet", "--column", "x"), "There is no column 'x'. Give --column with one of: text."),
        (("in.parquet", "out.parquet", "--column", "id"), "The column 'id' has int64, not text."),
        (("two.parquet", "out.parquet"), "Which column has the text? Give --column with one of: a, b."),
        (
            ("in.parquet", "out.parquet", "--as", "id"),
            "in.parquet has a column 'id' already. Name the new one with --as.",
        ),
        (("in.parquet", "out.parquet", "--dimensions", "0"), "dimensions"),
        (("in.parquet",), "The following arguments are required: output."),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_sent(
    words: tuple[str, ...], said: str, script: Script
) -> None:
    write(["one"])
    pq.write_table(pa.table({"a": ["x"], "b": ["y"]}), "two.parquet")
    Path("broken.parquet").write_bytes(b"nonsense")
    Path("in.txt").write_text("x")
    with Vectors() as server:
        assert script("embed", *words, "--host", server.url) == 2
    assert said in script.err
    assert script.err.count("\n") == 1
    assert server.requests == []
    assert not Path("out.parquet.rows").exists()


def test_without_a_model_it_says_where_to_name_one(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABRICKS_EMBEDDING_MODEL")
    write(["one"])
    assert script("embed", "in.parquet", "out.parquet", "--host", "http://127.0.0.1:9") == 2
    assert script.err.startswith("dbchat: DatabricksEmbeddings needs --model or DATABRICKS_EMBEDDING_MODEL, ")
    assert "pydantic" not in script.err


def test_the_local_workspace_embeds(script: Script, home: LocalWorkspace) -> None:
    assert home.endpoints
    write(["one", "two"])
    assert script("embed", "in.parquet", "out.parquet", "--model", "databricks-gte-large-en", "--normalize") == 0
    assert [len(row) for row in written()["embedding"]] == [1024, 1024]  # type: ignore[arg-type]  # they are lists
