# SPDX-License-Identifier: MIT
"""YAML with places: a reader that collects every mistake as `file:line: got, expected, fix`."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

MOST = 2**31 - 1  # a Fortran model's sizes and counts have 32 bits


class SpecError(Exception):
    """One or more mistakes in a coupling spec or in what it names; one line each."""

    def __init__(self, messages: Iterable[str]) -> None:
        self.messages = list(messages)
        super().__init__("\n".join(self.messages))


def hint(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'ocean'?`, else what is known, else nothing."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known: {', '.join(names)}" if names else ""


@dataclass
class Problems:
    """The mistakes found so far; reading goes on so that a user sees all of them at once."""

    messages: list[str] = field(default_factory=list)

    def add(self, place: str, text: str) -> None:
        message = " ".join(f"{place}: {text}".splitlines())
        if message not in self.messages:
            self.messages.append(message)

    def raise_if_any(self) -> None:
        if self.messages:
            raise SpecError(self.messages)


@dataclass(frozen=True)
class Value:
    """One YAML value with its place. The readers below return a default after noting a mistake."""

    node: yaml.Node
    path: Path
    problems: Problems
    name: str = ""
    key: yaml.Node | None = None  # where the name stands

    @property
    def place(self) -> str:
        return f"{self.path.name}:{self.node.start_mark.line + 1}"

    @property
    def key_place(self) -> str:
        return f"{self.path.name}:{(self.key or self.node).start_mark.line + 1}"

    def wrong(self, expected: str) -> None:
        name = self.name or "the spec"
        self.problems.add(self.place, f"{name}: got {self.text()}, expected {expected}")

    def text(self) -> str:
        if isinstance(self.node, yaml.ScalarNode):
            return f"'{self.node.value}'"
        return "a list" if isinstance(self.node, yaml.SequenceNode) else "a mapping"

    def plain(self) -> object:
        """The value as plain Python data (for keyword arguments passed on as they are)."""
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_document(self.node)
        except (yaml.YAMLError, ValueError):
            self.wrong("a value of YAML; put text that looks like a date or a number in quotes")
            return None
        finally:
            loader.dispose()

    def is_mapping(self) -> bool:
        return isinstance(self.node, yaml.MappingNode)

    def is_scalar(self) -> bool:
        return isinstance(self.node, yaml.ScalarNode)

    def is_sequence(self) -> bool:
        return isinstance(self.node, yaml.SequenceNode)

    def is_text(self, text: str) -> bool:
        return isinstance(self.node, yaml.ScalarNode) and self.node.value == text

    def is_empty(self) -> bool:
        """`key:` with nothing behind it."""
        return isinstance(self.node, yaml.ScalarNode) and self.node.value in ("", "~", "null")

    def is_number(self) -> bool:
        try:
            float(self.node.value)
        except (TypeError, ValueError):
            return False
        return True

    def items(self) -> Iterator[tuple[str, Value]]:
        """Keys and values of a mapping, in file order; a key written twice is a mistake."""
        if not isinstance(self.node, yaml.MappingNode):
            self.wrong("a mapping (key: value)")
            return
        seen: set[str] = set()
        for key, node in self.node.value:
            name = str(key.value)
            if name in seen:
                self.problems.add(
                    f"{self.path.name}:{key.start_mark.line + 1}", f"'{name}' is written twice"
                )
                continue
            seen.add(name)
            yield name, Value(node, self.path, self.problems, name, key)

    def mapping(self, known: Iterable[str], required: Iterable[str] = ()) -> dict[str, Value]:
        """The mapping's values; unknown and missing keys are noted."""
        names = list(known)
        found: dict[str, Value] = {}
        for key, value in self.items():
            if key in names:
                found[key] = value
            else:
                where = f" in {self.name}" if self.name else ""
                self.problems.add(value.key_place, f"unknown key '{key}'{where}{hint(key, names)}")
        if isinstance(self.node, yaml.MappingNode):
            for key in required:
                if key not in found:
                    where = f" in {self.name}" if self.name else ""
                    self.problems.add(self.place, f"missing key '{key}'{where}")
        return found

    def sequence(self) -> list[Value]:
        if not isinstance(self.node, yaml.SequenceNode):
            self.wrong("a list")
            return []
        return [Value(node, self.path, self.problems, self.name) for node in self.node.value]

    def string(self, default: str = "") -> str:
        if isinstance(self.node, yaml.ScalarNode) and self.node.value != "":
            return str(self.node.value)
        self.wrong("text")
        return default

    def choice(self, allowed: Iterable[str], default: str) -> str:
        names = list(allowed)
        text = str(self.node.value) if isinstance(self.node, yaml.ScalarNode) else None
        if text in names:
            return str(text)
        near = hint(text, names) if text is not None and len(names) > 3 else ""
        self.wrong(" or ".join(f"'{name}'" for name in names) + near)
        return default

    def integer(self, default: int, minimum: int, otherwise: str = "") -> int:
        """`otherwise`: what else could be written here."""
        expected = f"{minimum} or more"
        if isinstance(self.node, yaml.ScalarNode):
            try:
                number = int(self.node.value)
            except ValueError:
                number = minimum - 1
            if minimum <= number <= MOST:
                return number
            if number > MOST:
                expected = f"{minimum} to {MOST}"
        self.wrong(f"a whole number, {expected}{otherwise and f', {otherwise}'}")
        return default

    def number(self, default: float) -> float:
        """A positive, finite number."""
        try:
            number = float(self.node.value) if isinstance(self.node, yaml.ScalarNode) else 0.0
        except ValueError:
            number = 0.0
        if 0.0 < number < math.inf:
            return number
        self.wrong("a number above 0")
        return default

    def finite(self, default: float, forbidden: float | None = None) -> float:
        """A finite number, other than `forbidden`."""
        try:
            number = float(self.node.value) if isinstance(self.node, yaml.ScalarNode) else math.nan
        except ValueError:
            number = math.nan
        if math.isfinite(number) and number != forbidden:
            return number
        self.wrong("a number" + ("" if forbidden is None else f" other than {forbidden:g}"))
        return default

    def boolean(self, default: bool) -> bool:
        if isinstance(self.node, yaml.ScalarNode) and self.node.value.lower() in ("true", "false"):
            return bool(self.node.value.lower() == "true")
        self.wrong("true or false")
        return default


def read_yaml(path: Path, problems: Problems) -> Value:
    """The document's root. Raises SpecError at once when the file cannot be read or parsed."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError([f"{path}: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SpecError([f"{path}: not a UTF-8 text file"]) from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpecError([f"{path.name}:{line}: not YAML: {error.problem}"]) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SpecError([f"{path.name}:{line}: not YAML: {error.reason}"]) from error
    except RecursionError as error:
        raise SpecError([f"{path.name}:1: not a spec: nested too deep"]) from error
    if node is None:
        raise SpecError([f"{path.name}:1: empty; a spec has run, components, grids, exchanges"])
    return Value(node, path, problems)
