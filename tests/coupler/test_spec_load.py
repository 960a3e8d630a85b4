# SPDX-License-Identifier: MIT
"""What a spec says is read, with its defaults."""

from __future__ import annotations

from pathlib import Path

from coupler.spec.load import load_spec
from spec_cases import NAMELIST, SPEC, mistakes, recording, written


def test_everything_read(tmp_path: Path) -> None:
    spec = load_spec(written(tmp_path, SPEC))
    assert (spec.time_step, spec.steps, spec.time_limit) == (60, 12, 20.0)
    assert spec.directory == Path("runs/basin")
    assert spec.namelist == tmp_path / "basin.nml"
    assert spec.reference == {"closure.kind": "none"}
    ocean, closure = spec.components
    assert (ocean.name, ocean.ranks, ocean.command) == ("ocean", 2, ("ocean_model", "basin.nml"))
    assert not ocean.is_worker
    assert (closure.is_worker, closure.decomposition) == (True, (2, 1))
    assert closure.predictor is not None
    assert closure.predictor.python == "networks:Closure"
    assert closure.predictor.arguments == {"preset": "raw", "width": 3}
    inputs, answers = spec.exchanges
    grid = inputs.grid
    assert (grid.nx, grid.ny, grid.nz) == (8, 6, 2)
    assert (grid.boundary_x, grid.boundary_y) == ("periodic", "closed")
    assert (inputs.period, inputs.lag, inputs.halo, inputs.wire) == (120, 0, 3, "float64")
    assert (answers.period, answers.lag, answers.halo, answers.wire) == (120, 1, 0, "float64")
    u, h = inputs.fields
    assert (u.point, u.kind, u.fill, u.levels) == ("U", "vector_i", "replicate", 2)
    assert (h.point, h.kind, h.fill, h.levels) == ("T", "scalar", "zero", 1)
    assert [(f.name, f.levels) for f in inputs.static] == [("area", 1)]
    assert (h.place, answers.place) == ("basin.yaml:26", "basin.yaml:28")
    assert spec.incoming("closure") == (inputs,)
    assert spec.outgoing("closure") == (answers,)
    assert spec.index(answers) == 1
    assert str(inputs) == "ocean -> closure (u, h)"


def test_what_happens_to_a_field_on_its_way(tmp_path: Path) -> None:
    spec = SPEC.replace("{levels: 1}", "{levels: {from: 2, of: 7}, time: average, scale: 1e-3}")
    spec = spec.replace("{area: {}}", "{area: {levels: {to: 2, of: 3}, offset: -1}}")
    exchange = load_spec(written(tmp_path, spec.replace("halo: 3", "statistics: true"))).exchanges[
        0
    ]
    u, h = exchange.fields
    assert (u.first_level, u.last_level, u.levels, u.declared_levels) == (1, 2, 2, 2)
    assert (u.time, u.scale, u.offset) == ("instant", 1.0, None)
    assert (h.first_level, h.last_level, h.levels, h.declared_levels) == (2, 7, 6, 7)
    assert (h.time, h.scale, h.offset) == ("average", 1e-3, None)
    (area,) = exchange.static
    assert (area.first_level, area.last_level, area.declared_levels) == (1, 2, 3)
    assert area.offset == -1.0
    assert exchange.statistics
    assert exchange.reduced == (h,)


def test_an_answer_belongs_to_the_inputs_of_its_period(tmp_path: Path) -> None:
    more = "  - {from: ocean, to: closure, every: 3 steps, halo: 1, wire: float32, fields: [v]}\n"
    answer = "  - {from: closure, to: ocean, every: 3 steps, fields: [sv]}\n"
    spec = load_spec(written(tmp_path, SPEC + more + answer))
    slow, first, quick, second = spec.exchanges
    assert (second.period, second.wire) == (180, "float32")
    assert (spec.answered(first), spec.answered(second)) == (slow, quick)
    found = mistakes(tmp_path, SPEC + more + answer.replace("3 steps", "5 steps"))
    assert any("got 300 s, expected the 120 s or 180 s of the exchange" in f for f in found), found


def test_a_comment_in_the_spec_or_another_namelist_changes_the_digest(tmp_path: Path) -> None:
    first = load_spec(written(tmp_path, SPEC)).digest
    assert load_spec(written(tmp_path, SPEC)).digest == first
    assert load_spec(written(tmp_path, SPEC + "# again\n")).digest != first
    longer = NAMELIST.replace("12", "13")
    assert load_spec(written(tmp_path, SPEC, longer)).digest != first


def test_what_a_worker_records(tmp_path: Path) -> None:
    assert load_spec(written(tmp_path, recording("false"))).component("closure").record is None
    usual = load_spec(written(tmp_path, recording("true"))).component("closure").record
    assert usual is not None
    assert usual.fields == ("area", "u", "h", "su")
    assert (usual.period, usual.first, usual.last) == (120, None, None)
    assert (usual.file, usual.precision) == ("{component}_record_{start}", None)
    assert usual.units == "seconds since 0001-01-01 00:00:00"
    keys = "fields: [su, h], every: 6 steps, from: 0, until: 1 hour, precision: float32"
    more = "chunks: {time: 8}, when_slow: skip, file: 'r_{start}', origin: 1958-01-01, buffer: 3"
    made = load_spec(written(tmp_path, recording(f"{{{keys}, {more}}}"))).component("closure")
    assert made.record is not None
    assert made.record.fields == ("su", "h")
    assert (made.record.period, made.record.first, made.record.last) == (360, 0, 3600)
    assert (made.record.chunks, made.record.when_slow) == ({"time": 8}, "skip")
    assert (made.record.units, made.record.buffer) == ("seconds since 1958-01-01", 3)
