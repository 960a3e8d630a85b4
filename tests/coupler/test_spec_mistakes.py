# SPDX-License-Identifier: MIT
"""Every mistake in a spec is found, with its place and a hint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coupler.spec.document import SpecError
from coupler.spec.load import load_spec
from spec_cases import NAMELIST, SPEC, mistakes, recording, written


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{fields: [u, hh]}", "basin.yaml:12: record: no field 'hh' comes or goes; did you mean"),
        ("{fields: [u, u]}", "'u' is listed twice"),
        ("{every: 3 steps}", "every: got '3 steps', expected a multiple of 120 s, when all"),
        ("{every: often}", "every: got 'often', expected a number and a unit"),
        ("{from: 1 day, until: 1 hour}", "until: got '1 hour', expected 86400 s ('from') or later"),
        ("{file: 'r_{rank}'}", "expected a file name with {component} and {start} only"),
        ("{deflate: 10}", "deflate: got '10', expected 0 (none) to 9"),
        ("{chunks: {time: 0}}", "time: got '0', expected a whole number, 1 or more"),
        ("{chunk: 3}", "unknown key 'chunk' in record; did you mean 'chunks'?"),
        ("{when_slow: stop}", "when_slow: got 'stop', expected 'wait' or 'skip'"),
    ],
)
def test_mistakes_of_a_record(tmp_path: Path, record: str, message: str) -> None:
    found = mistakes(tmp_path, recording(record))
    assert any(message in text for text in found), found


def test_a_model_records_nothing(tmp_path: Path) -> None:
    spec = SPEC.replace(
        "{command: ocean_model basin.nml, ranks: 2}",
        """
    command: ocean_model basin.nml
    ranks: 2
    record: true""",
    )
    assert mistakes(tmp_path, spec) == ["basin.yaml:11: 'record' belongs to a worker"]


# (text of SPEC, its replacement, the message)
WRONG = {
    "unknown component": ("from: ocean", "from: ocaen", ":19: unknown component 'ocaen'; did you"),
    "unknown grid": ("    to: closure", "    to: closure\n    grid: oecan", "unknown grid 'oecan'"),
    "unknown key": ("ranks: 2\n", "rank: 2\n", ":11: unknown key 'rank' in closure; did you mean"),
    "unknown key of a field": ("fill: r", "fil: r", ":25: unknown key 'fil' in u; did you mean"),
    "unknown root key": ("components:", "compnents:", "unknown key 'compnents'; did you mean"),
    "missing root key": ("components:", "compnents:", "basin.yaml:1: missing key 'components'"),
    "missing key": ("from: closure\n    to", "to", ":28: missing key 'from'"),
    "more than 32 bits": (
        "halo: 3",
        "halo: 9999999999",
        ":22: halo: got '9999999999', expected a whole number, 0 to 2147483647, or 'auto'",
    ),
    "no document of keys": (SPEC, "- a", "basin.yaml:1: the spec: got a list, expected a mapping"),
    "key twice": ("    halo: 3", "    halo: 3\n    halo: 2", ":23: 'halo' is written twice"),
    "field twice": ("h: {levels: 1}", "u: {levels: 1}", ":26: 'u' is written twice"),
    "field twice in a list": ("{su: {point: U, kind: vector_i}}", "[su, su]", "'su' is listed tw"),
    "field and static": ("{area: {}}", "{h: {}}", "'h' is listed twice"),
    "no field": ("{su: {point: U, kind: vector_i}}", "{}", "got a mapping, expected at least one"),
    "empty list": ("{su: {point: U, kind: vector_i}}", "[]", "got a list, expected at least one"),
    "halo of an answer": (
        "    lag: 1",
        "    halo: 1",
        ":30: 'halo' belongs to the exchange to the",
    ),
    "static of an answer": ("    lag: 1", "    static: [a]", "'static' belongs to the exchange to"),
    "lag of an input": ("    halo: 3", "    lag: 3", ":22: 'lag' belongs to the exchange from the"),
    "no unit": ("2 steps", "2", ":21: every: got '2', expected a number and a unit"),
    "no period": ("2 steps", "0 steps", ":21: every: got '0 steps', expected a period above 0"),
    "no multiple": ("2 steps", "90 s", "expected a multiple of the model's time step, 60 s"),
    "longer period": (
        "    lag: 1",
        "    every: 3 steps",
        "got 180 s, expected the 120 s of the ex",
    ),
    "another period": ("    lag: 1", "    every: 1 step", "got 60 s, expected the 120 s of the ex"),
    "time": (
        "{levels: 1}",
        "{time: mean}",
        ":26: time: got 'mean', expected 'instant' or 'average",
    ),
    "time of an answer": ("{su: {", "{su: {time: min, ", ":31: 'time' belongs to a field that the"),
    "time of a static field": ("{area: {}", "{area: {time: max}", ":27: 'time' belongs to a field"),
    "no scale": (
        "{levels: 1}",
        "{scale: 0}",
        ":26: scale: got '0', expected a number other than 0",
    ),
    "scale": ("{levels: 1}", "{scale: C}", ":26: scale: got 'C', expected a number other than 0"),
    "offset": ("{levels: 1}", "{offset: .nan}", ":26: offset: got '.nan', expected a number"),
    "offset of a vector": (
        "fill: replicate",
        "offset: 1",
        ":25: offset: got one for a vector_i, ex",
    ),
    "levels above": (
        "{levels: 1}",
        "{levels: {to: 3}}",
        ":26: levels: got 1 to 3, expected a range",
    ),
    "levels turned": ("{levels: 1}", "{levels: {from: 2, to: 1}}", "got 2 to 1, expected a range"),
    "levels key": (
        "{levels: 1}",
        "{levels: {form: 2}}",
        "unknown key 'form' in levels; did you me",
    ),
    "levels text": (
        "{levels: 1}",
        "{levels: 1..2}",
        ":26: levels: got '1..2', expected a whole num",
    ),
    "statistics": ("halo: 3", "statistics: 3", ":22: statistics: got '3', expected true or false"),
    "negative halo": ("halo: 3", "halo: -3", "halo: got '-3', expected a whole number, 0 or more"),
    "wire": ("float64", "float46", "got 'float46', expected 'float32' or 'float64'"),
    "kind": ("vector_i, fill", "vector_x, fill", "'scalar' or 'vector_i' or 'vector_j'"),
    "point": (
        "{point: U, kind: vector_i, fill",
        "{point: W, fill",
        ":25: point: got 'W', expected",
    ),
    "boundary": ("x: periodic", "x: open", ":17: x: got 'open', expected 'closed' or 'periodic'"),
    "fold": ("y: closed", "y: closed, north: fold U", "got 'fold U', expected 'fold T' or 'fold F"),
    "fold of a closed grid": (
        "x: periodic, y: closed",
        "x: closed, y: closed, north: fold T",
        ":17: north fold: got x closed, y closed, 8 x 6 cells, expected x periodic, y closed",
    ),
    "fold of a periodic north": (
        "y: closed",
        "y: periodic, north: fold F",
        ":17: north fold: got x periodic, y periodic, 8 x 6 cells, expected x periodic, y closed",
    ),
    "no component": ("worker: true", "worker: false", "needs either 'command' or 'worker: true'"),
    "not a truth value": ("worker: true", "worker: 7", "worker: got '7', expected true or false"),
    "quote left open": ("ocean_model basin.nml", "ocean_model 'x", "No closing quotation"),
    "no ranks": ("ranks: 2}", "ranks: 0}", ":8: ranks: got '0', expected a whole number, 1 or"),
    "decomposition": ("{x: 2, y: 1}", "{x: 2, y: 2}", "got 2 x 2 boxes, expected 2 (ranks)"),
    "decomposition axis": ("{x: 2, y: 1}", "{x: 2}", "missing key 'y' in decomposition"),
    "no predictor": ('python: "networks:Closure"', "presets: 1", "predictor needs python"),
    "time limit": ("time_limit: 20", "time_limit: 0", ":6: time_limit: got '0', expected a number"),
    "endless": (
        "time_limit: 20",
        "time_limit: inf",
        ":6: time_limit: got 'inf', expected a number",
    ),
    "size": ("{x: 8,", "{x: 9,", ":16: x is 9 here, but basin.nml has grid.nx = 8"),
    "size key": (
        "grid.ny",
        "grid.my",
        ":16: y: basin.nml has no 'grid.my'; did you mean 'grid.ny'",
    ),
    "size text": ("{x: 8,", "{x: [8],", ":16: x: got a list, expected text"),
    "dt": ("  time_limit", "  dt: 50\n  time_limit", "dt is 50 here, but basin.nml has time.dt ="),
    "steps": ("  time_limit", "  steps: 5\n  time_limit", ":6: steps is 5 here, but basin.nml has"),
    "expect": ("coupled}", "none}", ":4: basin.nml has closure.kind = 'coupled', expected 'none'"),
    "no namelist": ("basin.nml\n  exp", "basn.nml\n  exp", "basn.nml: No such file or directory"),
    "no date": ("preset: raw", "preset: 2020-99-99", ":13: preset: got '2020-99-99', expected a "),
    "no exchange": (SPEC[SPEC.index("exchanges:") :], "exchanges: []", "at least one exchange"),
    "worker alone": ("to: closure", "to: ocean", "one side must be a model, one a worker"),
    "not YAML": ("{x: 8,", "{x: 8", ":16: not YAML:"),
    "not text": ("runs/basin", "runs\0basin", ":2: not YAML: special characters"),
    "name too long": (
        "  ocean: {com",
        f"  {'o' * 65}: {{com",
        ":8: name of 65 characters, expected",
    ),
    "name not ASCII": ("      h: {", "      höhe: {", ":26: name 'höhe', expected ASCII"),
    "name of a path": ("      h: {", "      dh/dt: {", ":26: name 'dh/dt', expected one without"),
}


@pytest.mark.parametrize("case", [pytest.param(v, id=k) for k, v in WRONG.items()])
def test_one_mistake(tmp_path: Path, case: tuple[str, str, str]) -> None:
    old, new, message = case
    assert SPEC.count(old) >= 1
    found = mistakes(tmp_path, SPEC.replace(old, new, 1))
    assert any(message in line for line in found), found
    assert all(re.match(r"basin\.yaml:\d+: \S", line) for line in found), found


def test_a_fold_needs_an_even_number_of_columns(tmp_path: Path) -> None:
    spec = SPEC.replace("x: 8,", "x: 7,").replace("y: closed", "y: closed, north: fold T")
    found = mistakes(tmp_path, spec, NAMELIST.replace("nx = 8", "nx = 7"))
    assert any("y closed, 7 x 6 cells, expected x periodic" in line for line in found), found
    found = mistakes(tmp_path, spec.replace("x: 7,", "x: 8,"), NAMELIST.replace("ny = 6", "ny = 1"))
    assert any("y closed, 8 x 1 cells, expected x periodic" in line for line in found), found


def test_halo_auto_is_to_be_measured(tmp_path: Path) -> None:
    written_halo = load_spec(written(tmp_path, SPEC)).exchanges[0]
    assert (written_halo.halo, written_halo.measured) == (3, False)
    auto = load_spec(written(tmp_path, SPEC.replace("halo: 3", "halo: auto"))).exchanges[0]
    assert (auto.halo, auto.measured) == (0, True)
    found = mistakes(tmp_path, SPEC.replace("halo: 3", "halo: atuo"))
    assert found == [
        "basin.yaml:22: halo: got 'atuo', expected a whole number, 0 or more, or 'auto'"
    ]


def test_mirrors_and_a_fold_bound_the_halo(tmp_path: Path) -> None:
    """Mirror images of the south that come back over the north fold would be wrong."""
    folded = SPEC.replace("y: closed", "y: closed, north: fold T").replace("replicate", "reflect")
    assert load_spec(written(tmp_path, folded.replace("halo: 3", "halo: 5"))).exchanges[0].halo == 5
    found = mistakes(tmp_path, folded.replace("halo: 3", "halo: 6"))
    assert len(found) == 1
    assert "basin.yaml:22: halo: got 6, expected less than 6, the rows of grid 'ocean'" in found[0]
    load_spec(
        written(tmp_path, folded.replace("reflect", "replicate").replace("halo: 3", "halo: 9"))
    )


def test_the_whole_list_of_mistakes_comes_at_once(tmp_path: Path) -> None:
    spec = SPEC.replace("from: ocean", "from: ocaen").replace("x: periodic", "x: open")
    found = mistakes(tmp_path, spec.replace("worker: true", "wroker: true"))
    assert {line.split(":")[1] for line in found} >= {"10", "17", "19"}, found


def test_one_model_in_a_job(tmp_path: Path) -> None:
    spec = SPEC.replace("components:", "components:\n  ice: {command: ice}")
    found = mistakes(tmp_path, spec + "  - {from: ice, to: closure, fields: [hi]}\n")
    assert any("got ice and ocean, expected one model in a job" in line for line in found), found


def test_an_input_behind_an_answer_without_lag(tmp_path: Path) -> None:
    """The model would wait for `su` before it puts `v`, and the worker for `v`."""
    late = SPEC + "  - {from: ocean, to: closure, every: 3 steps, fields: [v]}\n"
    load_spec(written(tmp_path, late))
    found = mistakes(tmp_path, late.replace("lag: 1", "lag: 0"))
    assert found == [
        "basin.yaml:32: ocean -> closure (v) comes behind closure -> ocean (su), which has lag 0: "
        "ocean waits for the answer before it puts what closure waits for; list it before "
        "basin.yaml:28, or give the answer a lag"
    ]


def test_a_level_of_an_answer_comes_from_one_worker(tmp_path: Path) -> None:
    """The model would get what the later one sends, without a word."""
    answer = "    fields: {su: {levels: {from: 1, to: 2, of: 3}}}\n"
    both = (
        SPEC[: SPEC.rindex("    fields:")]
        + answer
        + (
            "  - {from: ocean, to: other, fields: [u]}\n"
            "  - {from: other, to: ocean, fields: {su: {levels: {from: 2, of: 3}}}}\n"
        )
    )
    both = both.replace("grids:", "  other: {worker: true}\ngrids:")
    assert mistakes(tmp_path, both) == [
        "basin.yaml:34: field 'su' of ocean: level 2 comes from closure (basin.yaml:32) and from "
        "other, which would overwrite it; expected one of them, or other levels"
    ]
    load_spec(written(tmp_path, both.replace("{from: 2, of: 3}", "{from: 3, of: 3}")))


def test_an_answer_before_its_input(tmp_path: Path) -> None:
    head, asked, answer = re.split(r"(?m)^  - ", SPEC)
    found = mistakes(tmp_path, f"{head}  - {answer}  - {asked}")
    assert any("list ocean -> closure before its answer" in line for line in found), found


def test_namelists_that_are_none(tmp_path: Path) -> None:
    for namelist in ("", "&grid nx = 8, ny = 6 /", "&time dt = 'a', steps = 1.5 /"):
        found = mistakes(tmp_path, SPEC, namelist)
        assert any("dt" in line for line in found), found
        assert all(re.match(r"basin\.yaml:\d+: ", line) for line in found), found
    with pytest.raises(SpecError, match="No such file"):
        load_spec(tmp_path / "no.yaml")


def test_a_group_that_is_there_twice(tmp_path: Path) -> None:
    twice = "&grid nx = 8 /\n&time dt = 60, steps = 12 /\n&GRID ny = 6, nz = 2, nx = 9 /\n"
    twice += "&closure kind = 'coupled' /\n"
    grid = load_spec(written(tmp_path, SPEC, twice)).exchanges[0].grid
    assert (grid.nx, grid.ny, grid.nz) == (8, 6, 2)


def test_without_a_namelist_dt_is_needed(tmp_path: Path) -> None:
    plain = SPEC.replace("  namelist: basin.nml\n  expect: {closure.kind: coupled}\n", "")
    found = mistakes(tmp_path, plain)
    assert "basin.yaml:2: dt is not given: write it, or name run.namelist" in found
    assert any("y: got 'grid.ny', expected a whole number" in line for line in found)
    spec = load_spec(
        written(tmp_path, plain.replace("run:", "run:\n  dt: 30").replace("grid.ny", "6"))
    )
    assert (spec.time_step, spec.steps, spec.namelist) == (30, None, None)
    assert spec.exchanges[0].period == 60


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "[]", "3", "- a\n- b", "a: &a [*a]", "---\n---"]
)
def test_documents_that_are_no_spec(tmp_path: Path, text: str) -> None:
    found = mistakes(tmp_path, text)
    assert all(re.match(r"basin\.yaml:\d+: \S", line) for line in found), found


def test_a_document_nested_too_deep(tmp_path: Path) -> None:
    assert "nested too deep" in mistakes(tmp_path, "[" * 5000)[0]


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "basin.yaml"
    path.write_bytes(b"\xff\xfe\x00run")
    with pytest.raises(SpecError, match="not a UTF-8 text file"):
        load_spec(path)
