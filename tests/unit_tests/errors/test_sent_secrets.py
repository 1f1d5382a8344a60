"""Secrets that the client sent are masked in every form in which a server can quote them; words of a server are not."""

from __future__ import annotations

import base64
import html
import json
import sys
from collections.abc import Callable, Iterable
from urllib.parse import quote, quote_plus

import pytest

from langchain_dbchat.errors.redaction import scrub
from langchain_dbchat.errors.sent_secrets import hide_causes, hide_in_bytes, hide_in_values, hider

TOKEN = "zq7-PLAIN-secret/with+odd=chars"
FORMS = {
    "as it is": TOKEN,
    "JSON": TOKEN.replace("/", "\\/"),
    "JSON in JSON": TOKEN.replace("/", "\\\\\\/").replace("=", "\\\\u003d"),
    "some code points": TOKEN.replace("/", "\\u002F").replace("+", "\\u002b"),
    "code points": "".join(f"\\u{ord(letter):04x}" for letter in TOKEN),
    "Python": "".join(f"\\x{ord(letter):02x}" for letter in TOKEN),
    "URL": quote(TOKEN, safe=""),
    "URL in a URL": quote(quote(TOKEN, safe=""), safe=""),
    "URL, all of it": "".join(f"%{ord(letter):02x}" for letter in TOKEN),
    "HTML": "".join(f"&#{ord(letter)};" for letter in TOKEN),
    "HTML in HTML": "".join(f"&amp;#x{ord(letter):X};" for letter in TOKEN),
    "HTML by name": TOKEN.replace("/", "&sol;").replace("+", "&plus;").replace("=", "&equals;"),
    "octal": "".join(f"\\{ord(letter):03o}" for letter in TOKEN),
    "JavaScript": "".join(f"\\u{{{ord(letter):x}}}" for letter in TOKEN),
    "Python, all of it": "".join(f"\\U{ord(letter):08x}" for letter in TOKEN),
    "URL of old browsers": "".join(f"%u{ord(letter):04x}" for letter in TOKEN),
    "HTML with zeros": "".join(f"&#{ord(letter):08d};" for letter in TOKEN),
    "HTML with zeros, hexadecimal": "".join(f"&#x{ord(letter):08X};" for letter in TOKEN),
    "HTML in JSON of Go": TOKEN.replace("+", "\\u0026#43;").replace("=", "\\u0026#61;"),
    "URL in JSON": quote(TOKEN, safe="").replace("%", "\\u0025"),
    "JSON in a URL": quote(TOKEN.replace("/", "\\/").replace("+", "\\u002b"), safe=""),
    "JSON in HTML": TOKEN.replace("/", "&#92;/").replace("+", "&#92;u002b"),
    "JSON in a URL in HTML": quote(TOKEN.replace("/", "\\/"), safe="").replace("%", "&#37;"),
    "each other letter": "".join(f"\\u{ord(x):04x}" if at % 2 else f"%{ord(x):02x}" for at, x in enumerate(TOKEN)),
    "quoted-printable": TOKEN.replace("=", "=3D").replace("secret", "sec=\r\nret"),
    "in capitals": TOKEN.upper(),
    "in lower case": TOKEN.lower(),
    "hexadecimal": TOKEN.encode().hex(),
    "hexadecimal, in capitals": TOKEN.encode().hex(" ").upper(),
    "wrapped": TOKEN[:12] + "\n" + TOKEN[12:],
    "wrapped in JSON": TOKEN[:12] + "\\r\\n" + TOKEN[12:],
    "UTF-16": TOKEN.encode("utf-16-le").decode(),
    "Base64": base64.b64encode(TOKEN.encode()).decode(),
    "Base64 in lines": base64.encodebytes(TOKEN.encode() * 3).decode(),
    "Base64 in lines in JSON": base64.encodebytes(TOKEN.encode() * 3).decode().replace("\n", "\\n"),
    "Base64 after one": base64.b64encode(f"u{TOKEN}".encode()).decode(),
    "Base64 after two": base64.urlsafe_b64encode(f"u:{TOKEN}:more".encode()).decode(),
    "Base64 of a header": base64.b64encode(f"Bearer {TOKEN}".encode()).decode(),
}
BEFORE = ["", " ", "x", "\\n", "\\t", "\\\\n", "\\u003c", "\\u0027", '\\"', "%3D", "%20", "&lt;", "'", '"']

hide = hider({"Authorization": f"Bearer {TOKEN}", "accept": "text/event-stream"}.items())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("before", BEFORE)
def test_a_secret_is_masked_in_every_form(form: str, before: str) -> None:
    quoted = FORMS[form]
    masked = hide(f"The token {before}{quoted} is wrong, {before}{quoted}.")
    assert quoted[3:-5] not in masked
    assert masked.startswith(f"The token {before}")
    assert " is wrong, " in masked
    assert masked.endswith(".")
    assert hide(masked) == masked


@pytest.mark.parametrize("form", [form for form in FORMS if "Base64" not in form and "UTF-16" not in form])
@pytest.mark.parametrize("after", ['\\"}', '\\\\\\"}', '"}', "\\n", "%20", "&quot;", "'", " ", ""])
def test_nothing_but_the_secret_is_masked(form: str, after: str) -> None:
    assert hide(f'{{"a": "\\"{FORMS[form]}{after}') == f'{{"a": "\\"***{after}'


@pytest.mark.parametrize("code", [", ".join, ",".join], ids=["with blanks", "without"])
def test_a_list_of_its_bytes_or_letters_is_masked(code: Callable[[Iterable[str]], str]) -> None:
    assert hide(f'{{"data": [{code(str(byte) for byte in TOKEN.encode())}]}}') == '{"data": [***]}'
    assert hide(f"[{code(map(repr, TOKEN))}]") == "['***']"


@pytest.mark.parametrize("cut", [TOKEN[:16], TOKEN[:24], TOKEN[:12], TOKEN[:-1], TOKEN[1:], TOKEN[4:-3]])
@pytest.mark.parametrize("code", [str, lambda text: quote(text, safe=""), lambda text: text.encode().hex()])
def test_a_long_piece_of_a_secret_is_masked(cut: str, code: Callable[[str], str]) -> None:
    assert hide(f"Invalid token: {code(cut)}...") == "Invalid token: ***..."


@pytest.mark.parametrize("text", ["zq7-PLAIN", "PLAIN-secret/with", "zq7-PLAIN+secret/with+odd=chars is wrong"])
def test_a_short_piece_of_a_secret_is_told(text: str) -> None:
    assert hide(text) == text


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("password123", "The password is wrong."),
        ("anonymous-user-1", "An anonymous-user cannot call it, anonymous-users neither."),
        ("databricks2026x", "Databricks 2026 is the version."),
        ("correct-horse-battery-7", "The correct-horse-battery is a password of a comic."),
    ],
)
def test_a_piece_of_a_secret_that_is_a_word_is_told(token: str, words: str) -> None:
    masked = hider({"authorization": f"Bearer {token}"}.items())
    assert masked(words) == words
    assert masked(f"got {token}, {token.upper()}") == "got ***, ***"


@pytest.mark.parametrize("token", ["per%41cent/+12", "back\\slash\\u0041/12", "html&#65;and&amp;/12", 'quo"ted/12=='])
@pytest.mark.parametrize("code", [str, lambda text: json.dumps(text)[1:-1], quote, html.escape, quote_plus])
def test_a_secret_that_contains_an_escape_itself(token: str, code: Callable[[str], str]) -> None:
    masked = hider({"authorization": f"Bearer {token}"}.items())
    for quoted in (code(token), code(token).replace("/", "\\/"), json.dumps(code(token))[1:-1]):
        assert masked(f"got {quoted}.") == "got ***."


def test_a_masked_text_is_still_json() -> None:
    hidden = hider({"authorization": 'Bearer /abc\\def/ghi"'}.items())
    for text in (json.dumps('/abc\\def/ghi"').replace("/", "\\/"), json.dumps(json.dumps('/abc\\def/ghi"'))):
        assert json.loads(hidden(text)).strip('"') == "***"


def test_bytes_and_values_stay_what_they_are_without_a_secret() -> None:
    data = b"\xff no secret \x00"
    assert hide_in_bytes(hide, data) is data
    assert hide_in_bytes(hide, b"\xff " + TOKEN.encode()) == b"\xff ***"
    assert hide_in_values(hide, {"a": [TOKEN, 1, None, {"b": f"x {TOKEN}"}]}) == {"a": ["***", 1, None, {"b": "x ***"}]}
    assert hide_in_values(hide, {TOKEN: {f"x {TOKEN}": 1}, 2: 3}) == {"***": {"x ***": 1}, 2: 3}


@pytest.mark.parametrize(
    ("headers", "url", "secret"),
    [
        ({"authorization": "plain-words-2"}, "", "plain-words-2"),
        ({"Authorization": "Basic " + base64.b64encode(b"me:p4ss w\xc3\xb6rd\\n").decode()}, "", "p4ss wörd\\n"),
        ({"Authorization": "Basic " + base64.b64encode(b"me:p4ss word").decode()}, "", "p4ss+word"),
        ({"authorization": "Basic bWU6cDRzcy13b3Jk"}, "", "bWU6cDRzcy13b3Jk"),
        ({"X-Api-Key": "k-1"}, "", None),
        ({"X-Api-Key": "k-12"}, "", "k-12"),
        ({"x-forwarded-access-token": "correcthorse"}, "", "correcthorse"),
        ({"Cookie": "a=1; session=abc-123-xyz"}, "", "abc-123-xyz"),
        ({"X-Passphrase": "correct horse battery 7"}, "", "correct horse battery 7"),
        ({"X-Tokens": "first-token-7 second-token-8"}, "", "first-token-7"),
        ({"Ocp-Apim-Subscription-Key": "0123456789"}, "", "0123456789"),
        ({}, "https://h/x?o=123456789&sig=a%2Fb%3D12345", "a/b=12345"),
        ({}, "https://me:p4ss%2Fword@h/x", "p4ss/word"),
        ({"x-user": "somebody-12"}, "https://h/x?o=123456789", None),
    ],
)
def test_what_is_a_secret(headers: dict[str, str], url: str, secret: str | None) -> None:
    quoted = secret or f"{[*headers.values(), url][0]} 123456789"
    masked = hider(headers.items(), url)(f"You sent '{quoted}'.")
    assert masked == (f"You sent '{quoted}'." if secret is None else "You sent '***'.")


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("token", "The token is invalid"),
        ("secret", "secret"),
        ("t0", "t0"),
        ("dapi0", "the dapi01 token, xdapi0, dapi0-x"),
        ("anonymous", "anonymous-user, anonymously, the anonymous_user"),
        ("", "no token"),
    ],
)
def test_words_of_the_server_are_not_masked(token: str, words: str) -> None:
    assert hider({"authorization": f"Bearer {token}"}.items())(words) == words


def test_a_short_value_or_a_word_is_masked_where_it_stands_alone() -> None:
    assert hider({"authorization": "Bearer dapi0"}.items())(r"\ndapi0, 'dapi0' dapi0") == r"\n***, '***' ***"
    assert hider({"authorization": "Bearer correcthorse"}.items())("got correcthorse.") == "got ***."


def test_the_texts_of_causes_are_masked() -> None:
    inner = ValueError(bytearray(b"h: " + TOKEN.encode()))
    error = RuntimeError(f"illegal header line: {TOKEN}", 3)
    error.__cause__ = inner
    inner.__context__ = error
    hide_causes(error, hide)
    assert TOKEN not in f"{error} {error.args} {inner} {inner.args}"
    other = KeyError("as it was", 1)
    args = other.args
    hide_causes(other, hide)
    assert other.args is args


@pytest.mark.parametrize("before", ["\\n", "\\t", "\\u003c", "\\u0027", "%3D", "%20", "\\x27"])
@pytest.mark.parametrize("token", ["dapi0123456789abcdef", "sk-abcdef0123456789", "AKIA0123456789ABCDEF"])
def test_a_token_of_a_known_issuer_is_masked_behind_an_escape(before: str, token: str) -> None:
    assert scrub(f"got {before}{token} there") == f"got {before}*** there"


LINEAR = ["a word ", "\\", "%2F", "%25", "\\u002f", "&amp;", "&", "%26amp%3B%5C/", "=3D"]


@pytest.mark.parametrize("piece", [*LINEAR, "zq7-PLAIN-", TOKEN[:12], TOKEN[8:24], f"{TOKEN} "])
def test_the_time_is_linear(piece: str) -> None:
    """Counted in calls of Python and C functions, not in seconds."""

    def calls(times: int) -> int:
        seen = 0

        def count(*_: object) -> None:
            nonlocal seen
            seen += 1

        sys.setprofile(count)
        try:
            hide(piece * times)
        finally:
            sys.setprofile(None)
        return seen

    assert calls(2_000) <= 2.2 * calls(1_000)
