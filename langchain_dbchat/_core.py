"""Import langchain-core first, from a frame that fills a block of the interpreter's stack.

CPython keeps frames in blocks of 16 KiB. Where one ends in the midst of this import, hundreds of thousands of calls map
the next block and unmap it again. That cost up to 70 of 530 ms (CPython 3.11, `make bench`), and how deep the importing
code stands decides whether it happens. After the frame of `_import_core` a fresh block begins.
"""

from __future__ import annotations

from contextlib import suppress


def _import_core() -> None:
    import langchain_core.language_models.chat_models  # noqa: F401, PLC0415  # for its effect, from this frame


with suppress(Exception):  # compilers such as Nuitka make functions that have no code of CPython's
    _import_core.__code__ = _import_core.__code__.replace(co_stacksize=2048)
_import_core()
