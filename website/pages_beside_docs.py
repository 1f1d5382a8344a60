"""Put the pages that stand beside `docs/` into the site, as a hook of MkDocs.

Rule 1. README, CONTRIBUTING, SECURITY and CHANGELOG are pages of the site, from their one place at the root.
Rule 2. A link to a page of the site stays within it. A link to any other file of the repository leads to that file at
        ``repo_url``. Other links are not touched.
Rule 3. A link to a file that does not exist is left as it is, so that MkDocs warns, and `make docs` fails
        (https://www.mkdocs.org/user-guide/configuration/#validation).
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
BESIDE = {
    "README.md": "first-steps.md",  # MkDocs takes README.md for another index.md
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"^```.*?^```|`[^`\n]*`|\]\((?P<target>[^)\s]+)\)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages beside `docs/` to the files of the site."""
    from mkdocs.structure.files import File  # noqa: PLC0415  # the tests of the links run without MkDocs

    for name, page in BESIDE.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the text of a page with links that lead somewhere in the site or in the repository."""
    source = PurePosixPath(page.file.src_uri)
    folder = PurePosixPath() if page.file.src_uri in BESIDE.values() else "docs" / source.parent

    def rewritten(found: re.Match[str]) -> str:
        target = found["target"]
        if not target or re.match(r"[a-z]+:|#", target):
            return found[0]
        path, mark, section = target.partition("#")
        file = os.path.normpath(folder / path).replace(os.sep, "/")
        in_site = BESIDE.get(file, file.removeprefix("docs/") if file.startswith("docs/") else "")
        if files.get_file_from_path(in_site):
            return f"]({os.path.relpath(in_site, source.parent)}{mark}{section})"
        if (ROOT / file).exists() and not in_site:
            return f"]({config.repo_url}/blob/main/{file}{mark}{section})"
        return found[0]

    return LINK.sub(rewritten, markdown)
