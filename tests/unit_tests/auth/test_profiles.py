from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING

import pytest

from kit.token_server import PAT, SECRET
from langchain_dbchat.auth import profiles
from langchain_dbchat.auth.profiles import read_profiles
from langchain_dbchat.auth.resolver import resolve
from langchain_dbchat.auth.settings import AuthSettings
from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from kit.token_server import TokenServer
    from langchain_dbchat.transport.signing import Credentials

HOST = "https://dbc-1.cloud.databricks.com"


@pytest.fixture
def cfg(hermetic: Path) -> Path:
    return hermetic / ".databrickscfg"


def test_files_of_the_wild_are_read(tmp_path: Path) -> None:
    file = tmp_path / "cfg"
    file.write_text(
        "\ufeff; made by hand\n[DEFAULT]\nhost = https://a\ntoken = a%b#c\n\n[dev]\nhost = https://b\n[dev]\ntoken = "
        "x\n"
        "token = y\nflag\n[__settings__]\ndefault_profile = dev\n",
        encoding="utf-8",
    )
    config = read_profiles(file)
    assert config.profiles == ["DEFAULT", "dev"]
    assert config.default_profile == "dev"
    assert config.option("DEFAULT", "token") == "a%b#c"
    assert config.sections["dev"] == {"host": "https://b", "token": "y", "flag": ""}
    assert config.option("dev", "flag") is None
    assert config.option("nowhere", "token") is None


def test_an_older_file_that_is_put_back_is_read(tmp_path: Path) -> None:
    file = tmp_path / "cfg"
    for number, time in enumerate((2_000_000_000, 1_000_000_000, 1_500_000_000)):
        file.write_text(f"[p]\ntoken = {number}\n")
        os.utime(file, (time, time))
        assert read_profiles(file).option("p", "token") == str(number)


def test_files_are_parsed_once_and_only_so_many_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "_parsed", {})
    files = [tmp_path / str(number) for number in range(200)]
    for file in files:
        file.write_text("[p]\ntoken = x\n")
    first = [read_profiles(file) for file in files[:40]]
    assert all(read_profiles(file) is config for file, config in zip(files, first, strict=False))
    for file in files:
        read_profiles(file)
    assert 0 < len(profiles._parsed) <= 64


def test_default_lends_nothing_to_other_profiles(cfg: Path) -> None:
    cfg.write_text(f"[DEFAULT]\nhost = {HOST}\ntoken = {PAT}\n[dev]\nhost = {HOST}\n")
    with pytest.raises(ConfigurationError, match="nothing to sign in with but a host"):
        resolve(AuthSettings(profile="dev"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{PAT}\n[DEFAULT]\n", r"line 1: expected a \[profile\]"),
        (f"[DEFAULT]\n = {PAT}\n", "line 2: expected `option = value`"),
        (b"\xff\xfe[DEFAULT]", "cannot be read"),
    ],
)
def test_a_broken_file_is_named_and_not_quoted(cfg: Path, text: str | bytes, says: str) -> None:
    cfg.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError, match=says) as caught:
        resolve(AuthSettings(profile="DEFAULT"))
    assert PAT not in str(caught.value)
    assert caught.value.__cause__ is None or PAT not in str(caught.value.__cause__)
    assert caught.value.__suppress_context__


def test_a_missing_file_is_an_empty_one(tmp_path: Path) -> None:
    assert not read_profiles(tmp_path / "no" / "such").exists


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(cfg: Path) -> None:
    cfg.write_text("[DEFAULT]\n")
    cfg.chmod(0)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        resolve(AuthSettings())


def test_the_default_profile_gives_host_and_token(cfg: Path) -> None:
    cfg.write_text(f"[DEFAULT]\nhost = {HOST}/?o=12\ntoken = {PAT}\n")
    signed = resolve(AuthSettings())
    assert signed.workspace.origin == HOST
    assert signed.credentials.headers() == {"Authorization": f"Bearer {PAT}", "X-Databricks-Workspace-Id": "12"}
    assert "profile 'DEFAULT'" in signed.credentials.name


def test_which_profile_is_used(cfg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg.write_text(
        "".join(f"[{name}]\nhost = https://{name}.x\ntoken = {name}\n" for name in ("DEFAULT", "set", "env", "arg"))
    )
    assert resolve(AuthSettings()).workspace.host == "default.x"
    cfg.write_text(cfg.read_text() + "[__settings__]\ndefault_profile = set\n")
    assert resolve(AuthSettings()).workspace.host == "set.x"
    monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "env")
    assert resolve(AuthSettings()).workspace.host == "env.x"
    signed = resolve(AuthSettings(profile="arg"))
    assert signed.workspace.host == "arg.x"
    assert signed.credentials.headers() == {"Authorization": "Bearer arg"}


def test_a_profile_argument_goes_before_the_whole_environment(cfg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg.write_text(f"[dev]\nhost = {HOST}\ntoken = mine\n")
    for name, value in {"HOST": "https://other", "TOKEN": "t", "CLIENT_ID": "i", "CLIENT_SECRET": "s"}.items():
        monkeypatch.setenv(f"DATABRICKS_{name}", value)
    signed = resolve(AuthSettings(profile="dev"))
    assert (signed.workspace.origin, signed.credentials.headers()) == (HOST, {"Authorization": "Bearer mine"})


def test_a_missing_profile_argument_lists_those_there_are(cfg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg.write_text("[one]\n[two]\n")
    monkeypatch.setenv("DATABRICKS_HOST", HOST)
    monkeypatch.setenv("DATABRICKS_TOKEN", "not this one")
    with pytest.raises(ConfigurationError, match=r"has no profile 'dev' \(profile argument\); it has: one, two"):
        resolve(AuthSettings(profile="dev"))
    monkeypatch.delenv("DATABRICKS_HOST")
    with pytest.raises(ConfigurationError, match=r"no such profile \(it has: one, two\)"):
        resolve(AuthSettings(profile="dev"))


def test_another_file_is_an_argument_too(tmp_path: Path, hermetic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "env")
    file = tmp_path / "other.cfg"
    file.write_text(f"[DEFAULT]\nhost = {HOST}\ntoken = filed\n")
    assert resolve(AuthSettings(config_file=str(file))).credentials.headers() == {"Authorization": "Bearer filed"}
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(file))
    monkeypatch.delenv("DATABRICKS_TOKEN")
    assert resolve(AuthSettings()).credentials.headers() == {"Authorization": "Bearer filed"}
    assert hermetic.exists()


def test_a_token_is_never_sent_to_a_host_that_is_not_its_own(cfg: Path) -> None:
    cfg.write_text(f"[DEFAULT]\nhost = {HOST}\ntoken = {PAT}\n[right]\nhost = https://other.x\ntoken = t\n")
    with pytest.raises(ConfigurationError, match=r"is for https://dbc-1.*not for other\.x; profile 'right' is"):
        resolve(AuthSettings(host="https://other.x"))
    # But the apps of a workspace take its OAuth tokens.
    cfg.write_text(f"[DEFAULT]\nhost = {HOST}\ntoken = oauth\n")
    app = resolve(AuthSettings(host="https://my.databricksapps.com"))
    assert app.credentials.headers() == {"Authorization": "Bearer oauth"}


def test_a_service_principal_of_a_profile_signs_in_natively(cfg: Path, server: TokenServer) -> None:
    cfg.write_text(f"[sp]\nhost = {server.origin}\nclient_id = id\nclient_secret = {SECRET}\n")
    signer = resolve(AuthSettings(profile="sp")).credentials
    assert signer.headers() == {"Authorization": "Bearer m2m-1"}
    data = pickle.dumps(signer)
    assert SECRET.encode() not in data
    opened: Credentials = pickle.loads(data)
    assert opened.headers() == {"Authorization": "Bearer m2m-1"}
    cfg.unlink()
    elsewhere: Credentials = pickle.loads(data)
    with pytest.raises(ConfigurationError, match="has no client_secret in this process"):
        elsewhere.headers()


def test_a_token_that_is_changed_in_the_file_is_seen(cfg: Path) -> None:
    cfg.write_text(f"[DEFAULT]\nhost = {HOST}\ntoken = one\n")
    signer = resolve(AuthSettings()).credentials
    assert signer.headers() == {"Authorization": "Bearer one"}
    cfg.write_text(f"[DEFAULT]\nhost = {HOST}\ntoken = twotwo\n")
    assert signer.headers() == {"Authorization": "Bearer twotwo"}


def test_a_browser_is_not_opened_unasked(cfg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg.write_text(f"[DEFAULT]\nhost = {HOST}\nauth_type = external-browser\n")
    with pytest.raises(ConfigurationError, match="never opened unasked"):
        resolve(AuthSettings())
    asked = resolve(AuthSettings(auth_type="external-browser"))
    assert asked.credentials.name == "auth_type 'external-browser'"
    monkeypatch.setenv("DATABRICKS_AUTH_TYPE", "external-browser")
    assert resolve(AuthSettings()).credentials.name == "auth_type 'external-browser'"


def test_other_keys_are_left_to_the_sdk(cfg: Path) -> None:
    cfg.write_text(f"[az]\nhost = {HOST}\nazure_client_id = a\nazure_client_secret = {SECRET}\n")
    signer = resolve(AuthSettings(profile="az")).credentials
    assert type(signer).__name__ == "SdkSignIn"
    assert SECRET not in repr(signer)
    assert SECRET.encode() not in pickle.dumps(signer)


def test_a_profile_token_gives_way_to_one_of_the_environment(cfg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg.write_text(f"[DEFAULT]\nhost = {HOST}\ntoken = filed\n")
    monkeypatch.setenv("DATABRICKS_TOKEN", "env")
    signed = resolve(AuthSettings())
    assert (signed.workspace.origin, signed.credentials.headers()) == (HOST, {"Authorization": "Bearer env"})
