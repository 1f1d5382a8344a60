"""Check what `make package` has built, before anybody installs it.

Rule 1. The wheel has each file of the package that Git knows, `py.typed` among them, and nothing else.
Rule 2. The sdist has each file of the repository but those of CI, so that its tests run.
Rule 3. The long description has no link that only works in the repository, because PyPI has no other files
        (https://packaging.python.org/en/latest/guides/making-a-pypi-friendly-readme/).
Rule 4. The metadata name the repository, the licence, and the four runtime dependencies.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).resolve().parents[1]
DEPENDENCIES = {"langchain-core", "httpx", "pydantic", "databricks-sdk"}
URLS = {"Homepage", "Documentation", "Changelog", "Issues"}
NOT_IN_SDIST = (".ci/", ".github/")


def main(folder: Path) -> int:
    """Print what is wrong with the wheel and the sdist of a folder.

    Args:
        folder: Where exactly one of each is.

    Returns:
        The exit code: 0 if nothing is wrong.
    """
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607  # Git of PATH
    known = set(listed.stdout.splitlines())
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (path,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(path).decode("utf-8"))
    problems = [*wheel_problems(names, known), *sdist_problems(sdist, known), *metadata_problems(metadata)]
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{wheel.name} and {sdist.name}: {f'{len(problems)} problems' if problems else 'complete'}.")
    return 1 if problems else 0


def wheel_problems(names: set[str], known: set[str]) -> list[str]:
    """Compare the files of the wheel with those of the package."""
    files = {name for name in names if ".dist-info/" not in name}
    package = {name for name in known if name.startswith("langchain_dbchat/")}
    assert "langchain_dbchat/py.typed" in package
    return [f"wheel: {name} is missing or should not be there" for name in sorted(files ^ package)]


def sdist_problems(sdist: Path, known: set[str]) -> list[str]:
    """Compare the files of the sdist with those of the repository."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()} - {"PKG-INFO"}
    wanted = {name for name in known if not name.startswith(NOT_IN_SDIST)}
    return [f"sdist: {name} is missing or should not be there" for name in sorted(names ^ wanted)]


def metadata_problems(metadata: Message) -> list[str]:
    """Check links, URLs, licence and dependencies."""
    problems = []
    text = str(metadata.get_payload())
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL))
    assert len(links) > len(URLS)
    problems += [f"long description: the link {link} does not work on PyPI" for link in links if "://" not in link]
    urls = {url.partition(",")[0] for url in metadata.get_all("Project-URL", [])}
    problems += [f"metadata: no URL {name}" for name in sorted(URLS - urls)]
    required = {re.split(r"[^\w.-]", row)[0] for row in metadata.get_all("Requires-Dist", []) if "extra ==" not in row}
    if required != DEPENDENCIES:
        problems.append(f"metadata: the runtime dependencies are {', '.join(sorted(required))}")
    if metadata["License-Expression"] != "MIT" or metadata["Requires-Python"] != ">=3.10":
        problems.append("metadata: the licence or the oldest Python is not named")
    return problems


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
