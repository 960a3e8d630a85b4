# SPDX-License-Identifier: MIT
"""Whatever is in a spec: it is read, or its mistakes are told, and nothing else is ever raised."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coupler.spec import CouplingSpec
from coupler.spec.document import SpecError
from coupler.spec.load import load_spec
from coupling_cases import examples
from spec_cases import SPEC, written


def loads_or_explains(path: Path) -> None:
    spec, found = None, [""]
    try:
        spec = load_spec(path)
    except SpecError as error:
        found = error.messages
    if spec is None:
        assert found
        for line in found:
            assert re.fullmatch(r"basin\.yaml:\d+: \S[^\n]*", line), line
    else:
        assert isinstance(spec, CouplingSpec)
        assert spec.exchanges
        assert all(exchange.fields for exchange in spec.exchanges)


pieces = st.sampled_from([*re.findall(r"\w+|[^\w\s]|\n +", SPEC), "&a ", "*a", "<<", "!!int ", "|"])
odd = st.sampled_from(
    ["", "~", "1e400", "-1", "0x10", ".inf", "2020-99-99", "'", "\t", "é", "\x07"]
)
bulk = settings(
    max_examples=examples(250), suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@bulk
@given(st.data())
def test_garbled_text_never_raises_anything_else(tmp_path: Path, data: st.DataObject) -> None:
    text = SPEC
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        until = at + data.draw(st.integers(0, 12))
        text = text[:at] + data.draw(pieces | odd | st.text(max_size=3)) + text[until:]
    loads_or_explains(written(tmp_path, text))


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | odd
words = st.sampled_from(sorted(set(re.findall(r"\w+", SPEC))))
trees = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


def places(tree: object, at: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Every path of keys and numbers in the document."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found = [at]
    for key, value in items:
        here = (*at, key)
        found += places(value, here) if isinstance(value, (dict, list)) else [here]
    return found


@bulk
@given(st.data())
def test_changed_structure_never_raises_anything_else(tmp_path: Path, data: st.DataObject) -> None:
    tree = {"root": yaml.safe_load(SPEC)}
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(places(tree)[1:]))
        parent = tree
        for key in path:
            parent = parent[key]
        if data.draw(st.booleans()) or path == []:
            parent[last] = data.draw(trees)
        elif isinstance(parent, dict):
            parent[data.draw(words)] = parent.pop(last)
        else:
            parent.append(parent[last])
        if not isinstance(tree["root"], (dict, list)):
            break
    loads_or_explains(written(tmp_path, yaml.safe_dump(tree["root"], allow_unicode=True)))
