"""Install the built wheel in clean environments, on several Pythons, and make calls there.

Rule 1. An environment has the wheel with its extra `local` and nothing else: first with the oldest dependencies
        (``requirements/lowest.txt``), then with the newest ones that pip finds.
Rule 2. A Python that is not installed is named and left out.
Rule 3. Each step ends after five minutes.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 300
SIDE_BY_SIDE = 2
CONSTRAINTS = {"lowest": ["-c", str(ROOT / "requirements/lowest.txt")], "newest": []}


def main() -> int:
    """Install the wheel of a folder, and print a line for each environment.

    Returns:
        The exit code: 0 if all environments work.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the wheel is")
    parser.add_argument("pythons", nargs="+", help="the interpreters, such as python3.12")
    parser.add_argument("--dependencies", choices=sorted(CONSTRAINTS), action="append", help="default: both")
    given = parser.parse_args()
    (wheel,) = given.folder.resolve().glob("*.whl")
    found = [python for python in given.pythons if shutil.which(python)]
    for python in set(given.pythons).difference(found):
        print(f"{python} is not installed, so nothing is installed on it.")
    cases = [(python, which) for python in found for which in given.dependencies or CONSTRAINTS]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        failed = list(threads.map(lambda case: install(wheel, *case), cases))
    return 1 if any(failed) or not cases else 0


def install(wheel: Path, python: str, which: str) -> bool:
    """Install the wheel in an environment of its own, and run the calls there.

    Args:
        wheel: The wheel.
        python: The interpreter.
        which: ``"lowest"`` or ``"newest"`` dependencies.

    Returns:
        Whether it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "environment"
        pip = [sys.executable, "-m", "pip", "--python", str(environment), "--disable-pip-version-check", "-q"]
        inside = str(environment / "bin" / "python")
        commands = [
            [python, "-m", "venv", "--without-pip", str(environment)],
            [*pip, "install", "--no-compile", *CONSTRAINTS[which], f"{wheel}[local]"],
            [inside, "-W", "error", "-I", str(ROOT / "release/call_package.py"), str(environment / "bin" / "dbchat")],
        ]
        said = ""
        for command in commands:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS)
            said = done.stdout.strip()
            if done.returncode:
                print(f"{python}, {which} dependencies: {command[:4]} failed:\n{said}\n{done.stderr}")
                return True
    print(f"{python}, {which} dependencies: {said}")
    return False


if __name__ == "__main__":
    sys.exit(main())
