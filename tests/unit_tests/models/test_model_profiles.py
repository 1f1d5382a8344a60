"""What the profiles report: complete, valid for every langchain-core, and in agreement with what the client does."""

from __future__ import annotations

import warnings
from typing import Any, get_type_hints

import pytest
from langchain_core.language_models import ModelProfile
from langchain_core.language_models.fake_chat_models import FakeListChatModel

from langchain_dbchat.dialects.chat_completions.quirks import QUIRKS
from langchain_dbchat.models.families import family_of
from langchain_dbchat.models.profiles import profile_of

ACTIVE = """
claude-opus-5-5 claude-opus-5 claude-sonnet-5 claude-fable-5-1 claude-fable-5 claude-opus-4-8 claude-opus-4-7
claude-opus-4-6 claude-sonnet-4-6 claude-opus-4-5 claude-sonnet-4-5 claude-haiku-4-5 claude-opus-4-1 claude-opus-4
gpt-6-astra gpt-6-sol gpt-6-luna gpt-5-6-sol gpt-5-6-terra gpt-5-6-luna gpt-5-5 gpt-5-5-pro gpt-5-4 gpt-5-4-mini
gpt-5-4-nano gpt-5-3-codex gpt-5-2 gpt-5-1 gpt-5 gpt-5-mini gpt-5-nano
gemini-4-carbon gemini-3-8-flash gemini-3-7-flash gemini-3-6-flash gemini-3-5-flash gemini-3-5-flash-lite
gemini-3-1-pro gemini-3-flash gemini-3-1-flash-lite gemini-3-1-flash-image gemini-3-pro-image
grok-4-6 glm-5-3 glm-5-3-flash glm-5-2 kimi-k3 kimi-k2-7-code
deepseek-v4-1-flash deepseek-v4-flash-0731 deepseek-v4-pro-0813 inkling
gpt-oss-120b gpt-oss-20b llama-4-maverick meta-llama-3-3-70b-instruct meta-llama-3-1-8b-instruct gemma-3-12b
"""
PREVIEW = "qwen35-122b-a10b qwen3-next-80b-a3b-instruct"
RETIRED = """
claude-sonnet-4 claude-3-7-sonnet gemini-3-pro gemini-2-5-pro gemini-2-5-flash meta-llama-3-1-405b-instruct
"""
EVERY = [*ACTIVE.split(), *PREVIEW.split(), *RETIRED.split()]
NAMES = [prefix + model for model in EVERY for prefix in ("databricks-", "system.ai.")]


def profile(name: str) -> dict[str, Any]:
    found = profile_of(name)
    assert found is not None, f"{name} has no profile"
    return dict(found)


@pytest.mark.parametrize("model", EVERY)
def test_known_under_both_names(model: str) -> None:
    assert profile(f"databricks-{model}") == profile(f"system.ai.{model}")


@pytest.mark.parametrize(
    ("models", "status"),
    [(ACTIVE, "active"), (PREVIEW, "preview"), (RETIRED, "retired")],
    ids=["active", "preview", "retired"],
)
def test_status(models: str, status: str) -> None:
    assert {profile(f"databricks-{model}")["status"] for model in models.split()} == {status}


@pytest.mark.parametrize("name", NAMES)
def test_valid_for_langchain(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = FakeListChatModel(responses=[""], profile=profile_of(name))
    assert model.profile == profile(name)


@pytest.mark.parametrize("name", NAMES)
def test_types(name: str) -> None:
    types = get_type_hints(ModelProfile)
    for key, value in profile(name).items():
        expected = list if key == "reasoning_effort_levels" else types[key]
        assert type(value) is expected, key


@pytest.mark.parametrize(
    "name",
    [
        "",
        "claude-opus-5",
        "my-endpoint",
        "databricks-",
        "databricks-claude-opus-99",
        "databricks-gte-large-en",
        "system.ai.databricks-claude-opus-5",
        "main.default.claude-opus-5",
        "Databricks-claude-opus-5",
    ],
)
def test_unknown_names_have_none(name: str) -> None:
    assert profile_of(name) is None


def test_new_dict_each_time() -> None:
    first = profile("databricks-gpt-5")
    found = profile_of("databricks-gpt-5")
    assert found is not None
    found["reasoning_effort_levels"].append("more")
    found["max_input_tokens"] = 1
    assert profile("databricks-gpt-5") == first


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        (
            "databricks-claude-opus-5-5",
            {
                "status": "active",
                "max_input_tokens": 1_000_000,
                "max_output_tokens": 128_000,
                "text_inputs": True,
                "image_inputs": True,
                "image_url_inputs": False,
                "audio_inputs": False,
                "video_inputs": False,
                "text_outputs": True,
                "image_outputs": False,
                "reasoning_output": True,
                "reasoning_effort_levels": ["low", "medium", "high", "xhigh", "max"],
                "tool_calling": True,
                "tool_choice": False,
                "structured_output": False,
                "temperature": False,
            },
        ),
        (
            "system.ai.gpt-5-1",
            {
                "status": "active",
                "max_input_tokens": 272_000,
                "max_output_tokens": 128_000,
                "text_inputs": True,
                "image_inputs": True,
                "audio_inputs": False,
                "video_inputs": False,
                "text_outputs": True,
                "image_outputs": False,
                "reasoning_output": True,
                "reasoning_effort_levels": ["none", "low", "medium", "high"],
                "reasoning_effort_default": "none",
                "tool_calling": True,
                "tool_choice": True,
                "structured_output": True,
                "temperature": False,
            },
        ),
        (
            "databricks-gemini-3-pro-image",
            {
                "status": "active",
                "max_input_tokens": 65_536,
                "max_output_tokens": 32_768,
                "text_inputs": True,
                "image_inputs": True,
                "image_outputs": True,
                "tool_calling": False,
            },
        ),
        (
            "databricks-meta-llama-3-1-405b-instruct",
            {
                "status": "retired",
                "max_input_tokens": 128_000,
                "text_inputs": True,
                "image_inputs": False,
                "image_url_inputs": False,
                "audio_inputs": False,
                "video_inputs": False,
                "text_outputs": True,
                "image_outputs": False,
                "reasoning_output": False,
                "tool_calling": True,
                "tool_choice": True,
                "structured_output": True,
                "temperature": True,
            },
        ),
    ],
)
def test_whole_profiles(name: str, facts: dict[str, Any]) -> None:
    assert profile(name) == facts


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("claude-fable-5", "image_inputs", False),
        ("claude-sonnet-4-5", "temperature", True),
        ("claude-sonnet-4-5", "reasoning_effort_levels", None),  # it thinks by budget
        ("claude-3-7-sonnet", "max_output_tokens", None),
        ("gpt-6-astra", "max_input_tokens", 1_050_000),
        ("gpt-5-5-pro", "reasoning_effort_levels", ["medium", "high", "xhigh"]),
        ("gpt-5-nano", "reasoning_effort_default", "minimal"),
        ("gemini-4-carbon", "max_input_tokens", None),  # known from elsewhere than Databricks
        ("gemini-3-8-flash", "video_inputs", True),
        ("gemini-3-8-flash", "temperature", False),
        ("gemini-3-flash", "audio_inputs", True),
        ("gemini-3-1-pro", "reasoning_effort_levels", ["minimal", "low", "medium", "high"]),
        ("glm-5-2", "image_inputs", False),
        ("glm-5-2", "reasoning_effort_levels", ["none", "high", "max"]),
        ("glm-5-3", "reasoning_effort_default", "max"),
        ("kimi-k3", "max_output_tokens", 1_048_576),
        ("kimi-k3", "temperature", False),
        ("kimi-k2-7-code", "image_inputs", None),
        ("deepseek-v4-1-flash", "max_output_tokens", 393_216),
        ("gpt-oss-120b", "max_output_tokens", None),  # sources differ: 131072 and 32768
        ("gpt-oss-20b", "reasoning_effort_default", "medium"),
        ("llama-4-maverick", "tool_choice", None),
        ("gemma-3-12b", "tool_calling", False),
    ],
)
def test_facts(name: str, key: str, value: Any) -> None:
    assert profile(f"databricks-{name}").get(key) == value


def test_native_structured_output_only_where_it_works_with_tools() -> None:
    answers = {model: profile(f"databricks-{model}").get("structured_output") for model in EVERY}
    native = {model for model, answer in answers.items() if answer}
    assert not {model for model in native if model.startswith(("claude", "glm", "gemini-2"))}
    assert native == {
        *("gpt-6-astra", "gpt-6-luna", "gpt-5-6-sol", "gpt-5-6-terra", "gpt-5-6-luna", "gpt-5-5", "gpt-5-4"),
        *("gpt-5-4-mini", "gpt-5-4-nano", "gpt-5-2", "gpt-5-1", "gpt-5", "gpt-5-mini", "gpt-5-nano"),
        *("gemini-3-8-flash", "gemini-3-7-flash", "gemini-3-6-flash", "gemini-3-5-flash", "gemini-3-5-flash-lite"),
        *("gemini-3-1-pro", "gemini-3-flash", "gemini-3-1-flash-lite", "gemini-3-pro"),
        *("gpt-oss-120b", "gpt-oss-20b", "llama-4-maverick", "meta-llama-3-3-70b-instruct"),
        *("meta-llama-3-1-8b-instruct", "meta-llama-3-1-405b-instruct"),
    }
    assert answers["glm-5-2"] is False
    assert answers["kimi-k3"] is None


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_what_the_client_does(name: str) -> None:
    """A capability that the family's row would refuse to send is none."""
    facts, family = profile(name), family_of(name)
    quirks = QUIRKS[family.name]
    if facts.get("structured_output"):
        assert family.json_schema
        assert quirks.format_with_tools
        assert quirks.format_with_stream
    if facts.get("tool_choice") is not None:
        assert facts["tool_choice"] is family.forced_tool_choice
    if facts.get("temperature") is not None:
        assert facts["temperature"] is ("temperature" not in quirks.refuses)
    assert set(facts.get("reasoning_effort_levels", [])) <= set(family.efforts)
    for key, kind in {"image_inputs": "image_url", "audio_inputs": "audio_url", "video_inputs": "video_url"}.items():
        if facts.get(key):
            assert family.media is None or kind in family.media


def test_default_is_a_level() -> None:
    defaults = {name: profile(name) for name in NAMES if "reasoning_effort_default" in profile(name)}
    assert defaults
    for facts in defaults.values():
        assert facts["reasoning_effort_default"] in facts["reasoning_effort_levels"]
