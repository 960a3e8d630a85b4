# SPDX-License-Identifier: MIT
"""What a file from elsewhere could run when it is loaded, found before it is loaded.

docs/predictors.md says what loading runs in torch 2.13, and how that was found.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ml_server.errors import PredictorError

TRUST = "trust: true loads it all the same"

# In TorchScript: run on loading; write and map files; classes in C++, some of which open files;
# reach any of these by another name than the one that stands there (torch itself writes
# `getattr(self, "0")`).
FORBIDDEN_WORDS = re.compile(
    r"\b(__setstate__|save|from_file|classes(?!\s*\.\s*quantized\b)"
    r"|getattr(?!\(\w+(\.\w+)*, \"\w+\"\)))\b"
)
# Operators of torch come as `torch.relu`; `ops.namespace.name` are others.
OTHER_OPERATORS = re.compile(r"\bops\b(?!\s*\.\s*(prim|quantized|torchvision)\b)")

# In torch.export: what a graph may call, and what its texts may hold.
OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims|quantized|quantized_decomposed)\.\w+(\.\w+)?"
    r"|torch\.ops\.higher_order\.(cond|while_loop|scan|map_impl|associative_scan|wrap_with_\w+)"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|getitem)"
    r"|_operator\.(and_|or_|not_)|math\.\w+|torch\.sym_\w+"
)
FILE_OPERATOR = re.compile(r"\.(save|from_file)(\.|$)")
PLAIN = re.compile(r"[\w.:+\- /]*")
TEXT = re.compile(r"[\w.:+\- /,>]*")  # of an operator's argument: "bhwc,cd->bhwd"
TREE_TYPES = (None, "builtins.tuple", "builtins.list", "builtins.dict")
SYMPY = re.compile(r"[A-Z]\w*|oo|zoo|int_oo")
ARITHMETIC = (
    *(ast.Expression, ast.Call, ast.keyword, ast.Name, ast.Load, ast.Constant),
    *(ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop),
    *(ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop),
)


def inspect_torchscript(path: Path) -> None:
    """Raises PredictorError for a program that could run on loading, or reach files."""
    reader = open_archive(path, "TorchScript")
    for name in reader.get_all_records():
        if not (name.startswith("code/") and name.endswith(".py")):
            continue
        text = reader.get_record(name).decode(errors="replace")
        for pattern in (FORBIDDEN_WORDS, OTHER_OPERATORS):
            if found := pattern.search(text):
                line = text.count("\n", 0, found.start()) + 1
                raise PredictorError(
                    f"{path.name}: its program has '{found[0]}' ({name}, line {line}) and could "
                    f"run on loading, or reach files; {TRUST}"
                )


def inspect_exported(path: Path) -> None:
    """Raises PredictorError for an archive that could run code when torch loads or calls it."""
    if zipfile.is_zipfile(path) and "version" in zipfile.ZipFile(path).namelist():
        # torch would try the older form, which is pickles, when the newer one fails
        raise PredictorError(f"{path.name} is of torch 2.7 or older; export it again; {TRUST}")
    reader = open_archive(path, "torch.export")
    names = reader.get_all_records()
    if any(name.startswith("data/aotinductor/") for name in names):
        raise PredictorError(
            f"{path.name} is a package of AOTInductor, a shared library; save the program with "
            "torch.export.save"
        )
    if not any(name.startswith("models/") for name in names):
        what = "TorchScript, which is a file *.pt" if _has_code(names) else "another archive"
        raise PredictorError(
            f"{path.name} holds no program of torch.export but {what}; expected what "
            "torch.export.save writes"
        )
    for name in names:
        try:
            reason = _record_reason(name, reader.get_record(name))
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
            reason = "it is not written as torch.export writes it"
        if reason is not None:
            raise PredictorError(f"{path.name}: {reason} ({name}); {TRUST}")


def _has_code(names: list[str]) -> bool:
    return any(name.startswith("code/") for name in names)


def open_archive(path: Path, kind: str) -> Any:
    """torch's own reader: another one might see other records than the loader does."""
    try:
        reader = torch._C.PyTorchFileReader(str(path))
        reader.get_all_records()  # refuses records outside its one folder
        return reader
    except RuntimeError as error:
        reason = str(error).splitlines()[0].partition(" This is an internal ")[0].rstrip(".")
        raise PredictorError(f"{path.name} is no {kind} archive: {reason}") from error


def _record_reason(name: str, record: bytes) -> str | None:
    """Why a record of an archive is refused."""
    if name in ("archive_format", "archive_version", "byteorder") or name.startswith(".data/"):
        return None
    folder = name.rpartition("/")[0]
    if folder == "models" and name.endswith(".json"):
        return next(_json_reasons(json.loads(record)), None)
    if folder in ("data/weights", "data/constants"):
        if not name.endswith("_config.json"):
            return None if re.search(r"/(weight|tensor)_\d+$", name) else "it holds an object"
        config = json.loads(record).get("config", {})
        pickled = [entry for entry, meta in config.items() if meta.get("use_pickle")]
        return f"'{pickled[0]}' is pickled" if pickled else None
    if folder == "data/sample_inputs":
        return _pickle_reason(record)
    if folder == "extra":
        return None
    return "it holds more than a program and its weights"


def _pickle_reason(record: bytes) -> str | None:
    try:
        torch.load(io.BytesIO(record), map_location="cpu", weights_only=True)
    except Exception:  # the loader would go on without weights_only
        return "its example inputs are a pickle of more than tensors"
    return None


def _json_reasons(value: Any, key: str = "") -> Iterator[str]:
    """Why a part of the program is refused."""
    if isinstance(value, dict):
        for name, item in value.items():
            if not PLAIN.fullmatch(name):
                yield f"'{name[:60]}' is no name"
            if name in ("metadata", "guards_code") and _is_text(item):
                continue  # where the source stood; guards, which are not compiled
            yield from _json_reasons(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _json_reasons(item, key)
    elif isinstance(value, str) and not _is_harmless(value, key):
        yield f"{key} '{value[:60]}' is not what torch.export writes of a network"


def _is_text(value: Any) -> bool:
    """Text alone: a part of the program that is called `metadata` has more in it."""
    texts = value.values() if isinstance(value, dict) else value
    return isinstance(value, (dict, list)) and all(isinstance(text, str) for text in texts)


def _is_harmless(text: str, key: str) -> bool:
    if key in ("target", "as_operator"):
        return bool(OPERATOR.fullmatch(text)) and not FILE_OPERATOR.search(text)
    if key == "expr_str":
        return _is_arithmetic(text)
    if key in ("in_spec", "out_spec"):
        return not text or _is_plain_tree(json.loads(text))
    return bool((TEXT if key in ("as_string", "as_strings") else PLAIN).fullmatch(text))


def _is_arithmetic(text: str) -> bool:
    """Numbers, symbols in quotes, and calls of sympy's classes, whose names are upper case."""
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError):
        return False
    for node in nodes:
        if not isinstance(node, ARITHMETIC):
            return False
        if isinstance(node, ast.Call) and not isinstance(node.func, ast.Name):
            return False
        if isinstance(node, ast.Name) and not (SYMPY.fullmatch(node.id) or node.id[-1:].isdigit()):
            return False
        text_of = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text_of, str) and not text_of.isidentifier():
            return False
    return True


def _is_plain_tree(tree: Any) -> bool:
    """Tuples, lists and dictionaries alone: another type would be looked up, or imported."""
    if isinstance(tree, list):
        return all(_is_plain_tree(item) for item in tree)
    if not isinstance(tree, dict):
        return isinstance(tree, int)
    context = tree.get("context")
    names = json.loads(context) if isinstance(context, str) else context
    plain = names is None or all(isinstance(n, str) and PLAIN.fullmatch(n) for n in names)
    return tree.get("type") in TREE_TYPES and plain and _is_plain_tree(tree["children_spec"])
