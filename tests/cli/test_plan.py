# SPDX-License-Identifier: MIT
"""`halocline plan`: messages and bytes, against numbers by hand and a count cell by cell."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.toy import write_toy
from coupler.command.cli import main
from coupler.command.plan import PlannedExchange, build_plan, with_ranks
from coupler.spec import ComponentSpec, CouplingSpec, ExchangeSpec
from coupling_cases import fields, grids, halos

LARGE = str(Path(__file__).parents[2] / "namelists" / "eorca36.yaml")
HEADER = 32  # [bytes]


def test_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two model boxes, 3 x 5 and 4 x 5, one worker with halo 1 on 7 x 5, periodic in x.

    Of `a`, with fill, it takes (7+2) x (5+2) cells: 4 columns with one image from model 0, 5 from
    model 1, each 7 high. Of `b` and `flat`, without fill, only 5 rows.
    """
    assert main(["plan", str(write_toy(tmp_path)), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [d["boxes"] for d in plan["decompositions"]] == [
        [[0, 3, 0, 5], [3, 7, 0, 5]],
        [[0, 7, 0, 5]],
    ]
    flat, there, back = plan["exchanges"]
    assert [flat["static"], there["static"], back["static"]] == [True, False, False]
    assert there["messages"] == [
        {"from_rank": 0, "to_rank": 0, "cells": 28, "values": 144, "bytes": 1184},
        {"from_rank": 1, "to_rank": 0, "cells": 35, "values": 180, "bytes": 1472},
    ]
    assert [m["values"] for m in flat["messages"]] == [20, 25]
    assert [(m["from_rank"], m["to_rank"], m["values"]) for m in back["messages"]] == [
        (0, 0, 45),
        (0, 1, 60),
    ]
    assert there["halo_overhead"] == pytest.approx(63 / 35 - 1)
    assert back["halo_overhead"] == 0


def test_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(write_toy(tmp_path))]) == 0
    text = capsys.readouterr().out
    assert "Router(model 2 -> worker 1, halo 1: 2 messages, 63 cells)" in text
    assert "Router(worker 1 -> model 2: 2 messages, 35 cells)" in text
    assert "* assumed: a model decides its own boxes when it runs" in text
    # 4320 exchanges a day of 2656 and 904 bytes
    assert "In all: 15.4 MB a simulated day, 424 B once at the start" in text


def test_many_ranks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(write_toy(tmp_path)), "--ranks", "model=35,worker=5"]) == 0
    text = capsys.readouterr().out
    assert "model 35 -> worker 5" in text
    assert "more messages (--json has them all)" in text


def test_a_large_grid_with_a_fold(capsys: pytest.CaptureFixture[str]) -> None:
    """12,960 x 10,850 x 75 cells on 4 x 4 workers, halo 10.

    Each padded box has 3240 + 20 columns; the rows are 10,850 and 4 times 20, less the 10 that
    nobody owns beyond the south. Three fields have all these values, on every level.
    """
    assert main(["plan", LARGE, "--ranks", "ocean=400,closure=16", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    cells = 4 * (3240 + 20) * (10850 + 4 * 20 - 10)
    static, there, back = plan["exchanges"]
    assert sum(message["values"] for message in there["messages"]) == 3 * 75 * cells
    assert sum(message["values"] for message in static["messages"]) == cells
    assert sum(message["values"] for message in back["messages"]) == 2 * 75 * 12960 * 10850
    # 5 x 5 model ranks and their neighbours; in the north-west also 5 on the fold's other side, the
    # other 2 of its 7 being neighbours already
    senders = Counter(message["to_rank"] for message in there["messages"])
    assert [senders[rank] for rank in (0, 4, 12)] == [5 * 6 + 2 * 6, 7 * 7, 7 * 6 + 5]
    (planning,) = plan["planning"]
    assert (planning["component"], planning["ranks"]) == ("closure", 16)
    assert 0 < planning["slowest_rank_seconds"] <= planning["seconds"]
    assert plan["peak_memory_bytes"] > 0


@st.composite
def specs(draw: st.DrawFn) -> CouplingSpec:
    grid = draw(grids())
    ends = ("ocean", "closure")
    wire = draw(st.sampled_from(["float32", "float64"]))
    how = (wire, "auto", True)
    there = ExchangeSpec(
        *ends, grid, 10, 0, draw(halos), *how, draw(fields()), draw(fields()), "spec:1"
    )
    back = ExchangeSpec(*reversed(ends), grid, 10, 0, 0, *how, draw(fields()), (), "spec:2")
    components = tuple(
        ComponentSpec(name, draw(st.integers(1, 6)), command, None, None, "spec:3")
        for name, command in zip(ends, (("model",), ()), strict=True)
    )
    return CouplingSpec(
        Path("spec"), Path(), None, {}, 10, 1, 1.0, components, (there, back), "digest"
    )


def by_kind(spec: CouplingSpec) -> tuple[PlannedExchange, PlannedExchange, PlannedExchange]:
    static, there, back = build_plan(spec).exchanges
    return static, there, back


@settings(deadline=None)
@given(specs())
def test_values_are_those_of_a_count_cell_by_cell(spec: CouplingSpec) -> None:
    for item in by_kind(spec)[:2]:
        values = 0
        grid = item.exchange.grid
        for rank in range(item.target.ranks):
            box = item.target.box(rank).padded(item.exchange.halo)
            for field in item.fields:
                for y in range(box.y0, box.y1):
                    for x in range(box.x0, box.x1):
                        values += field.levels * owned(field, grid, x, y)
        assert sum(message.values for message in item.messages) == values


def owned(field, grid, x: int, y: int) -> bool:  # type: ignore[no-untyped-def]
    """Does a cell of the model show at padded cell x, y? A west or south wall's face does not."""
    for index, size, boundary, normal in (
        (x, grid.nx, grid.boundary_x, ("vector_i", "U")),
        (y, grid.ny, grid.boundary_y, ("vector_j", "V")),
    ):
        if boundary == "periodic" or 0 <= index < size:
            continue
        if field.fill == "zero" or (index < 0 and (field.kind, field.point) == normal):
            return False
    return True


@settings(deadline=None)
@given(specs())
def test_answers_cover_the_grid_once(spec: CouplingSpec) -> None:
    back = by_kind(spec)[2]
    grid = back.exchange.grid
    assert back.cells == grid.nx * grid.ny
    levels = sum(field.levels for field in back.fields)
    assert sum(message.values for message in back.messages) == levels * grid.nx * grid.ny


@settings(deadline=None)
@given(specs())
def test_bytes_are_header_and_whole_words(spec: CouplingSpec) -> None:
    for item in by_kind(spec):
        for message in item.messages:
            payload = message.values * int(item.exchange.wire[-2:]) // 8
            assert 0 <= message.bytes - HEADER - payload < 8
            assert message.bytes % 8 == 0
            assert 0 <= message.source_rank < item.source.ranks
            assert 0 <= message.target_rank < item.target.ranks


@settings(deadline=None)
@given(specs(), st.integers(1, 5), st.integers(1, 5))
def test_answers_do_not_depend_on_ranks(spec: CouplingSpec, ocean: int, closure: int) -> None:
    other = with_ranks(spec, {"ocean": ocean, "closure": closure})
    assert [d["grid"].ranks for d in build_plan(other).decompositions.values()] == [ocean, closure]
    assert by_kind(other)[2].cells == by_kind(spec)[2].cells
