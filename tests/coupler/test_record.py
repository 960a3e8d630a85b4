# SPDX-License-Identifier: MIT
"""Recorders of several ranks, in one process and with their real writers, and the reader."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from coupler.errors import CouplingError
from coupler.record import Record, RecordError, open_record
from coupler.record.contents import Place
from coupler.record.recorder import Recorder
from coupler.routing.decomposition import decompose
from coupler.spec import CouplingSpec
from coupler.spec.load import load_spec
from coupling_cases import examples

NX, NY, NZ, HALO, DT = 7, 5, 2, 1, 10
EXCHANGES = [
    {"from": "model", "to": "worker", "halo": HALO, "wire": "float64", "fields": ["a", "c"]},
    {"from": "worker", "to": "model", "fields": ["b", "c"]},
]
EXCHANGES[0]["static"] = {"mask": {}}


def spec_with(directory: Path, record: Any = True, **changes: Any) -> CouplingSpec:
    loaded = {
        "run": {"dt": DT, "time_limit": 60},
        "components": {
            "model": {"command": "model"},
            "worker": {"worker": True, "record": record},
        },
        "grids": {"grid": {"size": {"x": NX, "y": NY, "z": NZ}}},
        "exchanges": EXCHANGES,
    } | changes
    path = directory / "spec.yaml"
    path.write_text(yaml.safe_dump(loaded))
    return load_spec(path)


def value(date: int, name: str) -> np.ndarray:
    """Global (level, y, x)"""
    levels = 1 if name == "mask" else NZ
    seed = [date, *name.encode()]
    return np.random.default_rng(seed).normal(size=(levels, NY, NX))


class Run:
    """The recorders of all ranks of one run, which share what is global by their boxes."""

    def __init__(self, spec: CouplingSpec, ranks: int = 2, start: int = 0) -> None:
        self.spec, self.split = spec, decompose("worker", NX, NY, ranks)
        self.recorders = [self._recorder(rank, start) for rank in range(ranks)]

    def _recorder(self, rank: int, start: int) -> Recorder:
        owned = {"grid": np.ones((self.split.box(rank).ny, self.split.box(rank).nx), bool)}
        ranks = tuple(range(self.split.ranks))
        place = Place("worker", rank, ranks, start, {"grid": self.split}, owned)
        return Recorder(self.spec, place, {"mask": self._padded(rank, value(0, "mask"))})

    def _padded(self, rank: int, whole: np.ndarray) -> np.ndarray:
        box = self.split.box(rank)
        wide = np.pad(whole, ((0, 0), (HALO, HALO), (HALO, HALO)), constant_values=9.0)
        return wide[:, box.y0 : box.y1 + 2 * HALO, box.x0 : box.x1 + 2 * HALO]

    def step(
        self,
        date: int,
        ranks: range | None = None,
        compute: Callable[[], object] = lambda: None,
    ) -> None:
        there, back = self.spec.exchanges
        for rank in ranks or range(self.split.ranks):
            recorder, box = self.recorders[rank], self.split.box(rank)
            inputs = {name: self._padded(rank, value(date, name)) for name in "ac"}
            recorder.take(date, there, inputs)
            for array in inputs.values():
                array[...] = -1  # as a network may do
            compute()
            own = np.s_[:, box.y0 : box.y1, box.x0 : box.x1]
            answers = {"b": value(date, "b")[own], "c": value(date, "c_answer")[own]}
            recorder.take(date, back, answers)
            recorder.commit(date)

    def settle(self) -> None:
        """Until all is written."""
        for recorder in self.recorders:
            recorder.drain()

    def close(self) -> list[str]:
        return [recorder.close() for recorder in self.recorders]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


VARIABLES = {"mask", "a", "c", "b", "c_answer"}


def assert_holds(record: Record, dates: list[int], dtype: str = "float64") -> None:
    assert record.dates.tolist() == dates
    assert set(record.fields) == VARIABLES
    for name in VARIABLES - {"mask"}:
        expected = np.array([value(date, name) for date in dates]).astype(dtype)
        np.testing.assert_array_equal(np.asarray(record[name]), expected, name)
    np.testing.assert_array_equal(record["mask"][0], value(0, "mask").astype(dtype))


def test_a_record_of_all_ranks_is_global(here: Path) -> None:
    run = Run(spec_with(here), 4)
    for date in range(0, 200, DT):
        run.step(date)
    assert "recorded 20 dates" in run.close()[0]
    with open_record("worker_record_0") as record:
        assert_holds(record, list(range(0, 200, DT)))
        assert record.complete
        assert record.of_role("answer")["c"].variable == "c_answer"
        assert record.owned("grid").all()


@pytest.mark.parametrize(
    ("keys", "dtype"),
    [
        ({"precision": "float32", "deflate": 4, "flush": 3}, "float32"),
        ({"chunks": {"time": 4, "level": 1, "x": 3}, "buffer": 2}, "float64"),
    ],
)
def test_precision_deflate_and_chunks(here: Path, keys: dict[str, Any], dtype: str) -> None:
    run = Run(spec_with(here, keys))
    for date in range(0, 70, DT):
        run.step(date)
    run.close()
    with open_record(here) as record:
        assert_holds(record, list(range(0, 70, DT)), dtype)
    with netCDF4.Dataset(here / "worker_record_0.rank0001.nc") as file:
        nx = len(file.dimensions["x_grid"])
        assert file["a"].chunking() == ([4, 1, 5, 3] if "chunks" in keys else [1, NZ, NY, nx])
        assert (file["a"].filters()["complevel"] == 4) == ("deflate" in keys)


def test_a_directory_with_brackets_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "run [1]"
    there.mkdir()
    monkeypatch.chdir(there)
    run = Run(spec_with(there))
    run.step(0)
    run.close()
    for path in (there, there / "worker_record_0", there / "worker_record_0.rank0000.nc"):
        with open_record(path) as record:
            assert_holds(record, [0])
    with open_record("worker_*_[0-9]") as record:
        assert_holds(record, [0])


def test_dates(here: Path) -> None:
    run = Run(spec_with(here, {"every": "3 steps", "from": "60 s", "until": "150 s"}))
    for date in range(0, 300, DT):
        run.step(date)
    run.close()
    with open_record(here) as record:
        assert_holds(record, [60, 90, 120, 150])


def test_runs_are_one_record_and_the_later_start_counts(here: Path) -> None:
    spec = spec_with(here)
    for start, ranks in ((0, 2), (20, 3)):  # the second starts from a restart of the first
        run = Run(spec, ranks, start)
        for date in range(start, start + 40, DT):
            run.step(date)
        run.close()
    with open_record("worker_record") as record:
        assert_holds(record, [0, 10, 20, 30, 40, 50])
        assert [len(s.files) for s in record.segments] == [2, 3]
        got = record["a"][1:5:2, 0]  # across both
        expected = np.array([value(date, "a")[0] for date in (10, 30)])
        np.testing.assert_array_equal(got, expected)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    directory = tmp_path_factory.mktemp("record")
    run = Run(spec_with(directory, {"file": f"{directory}/{{component}}_{{start}}"}), 3)
    for date in range(0, 60, DT):
        run.step(date)
    run.close()
    with open_record(directory) as record:
        yield record


def indices(size: int) -> st.SearchStrategy[Any]:
    steps = st.none() | st.integers(1, 3)
    ends = st.none() | st.integers(-size - 1, size + 1)
    return st.integers(-size, size - 1) | st.builds(slice, ends, ends, steps)


@settings(max_examples=examples(150))
@given(st.data())
def test_any_index_reads_what_the_whole_array_has_there(
    recorded: Record, data: st.DataObject
) -> None:
    field = recorded["a"]
    index = tuple(data.draw(indices(size)) for size in field.shape)
    index = index[: data.draw(st.integers(0, 4))]
    if data.draw(st.booleans()):
        index = (*index, Ellipsis)
    whole = np.array([value(date, "a") for date in range(0, 60, DT)])
    np.testing.assert_array_equal(field[index], whole[index])


def test_an_existing_file_is_not_overwritten(here: Path) -> None:
    spec = spec_with(here)
    run = Run(spec)
    run.step(0)
    run.close()
    with pytest.raises(CouplingError, match=r"spec.yaml:\d+: record worker_record_0.* exists"):
        Run(spec)
    with open_record(here) as record:
        assert_holds(record, [0])
    again = Run(spec_with(here, {"overwrite": True}))
    again.step(20)
    again.close()
    with open_record(here) as record:
        assert record.dates.tolist() == [20]


def test_files_that_an_earlier_run_of_more_ranks_left(here: Path) -> None:
    for ranks in (4, 2):
        run = Run(spec_with(here, {"overwrite": True}), ranks)
        run.step(0)
        run.close()
    with pytest.raises(
        RecordError, match=r"files of ranks 2, 3 are of another run, .* remove them"
    ):
        open_record(here)
    for rank in (2, 3):
        (here / f"worker_record_0.rank000{rank}.nc").unlink()
    with open_record(here) as record:
        assert_holds(record, [0])


def test_a_directory_that_is_not_there(here: Path) -> None:
    with pytest.raises(CouplingError, match=r"got no directory .*nowhere, expected one"):
        Run(spec_with(here, {"file": "nowhere/r"}))


def test_a_field_that_comes_less_often_than_it_goes(here: Path) -> None:
    often = EXCHANGES[0] | {"fields": ["a"]}
    seldom = {"from": "model", "to": "worker", "fields": ["c"], "every": "3 steps"}
    exchanges = [often, seldom, EXCHANGES[1]]
    record = spec_with(here, {"fields": ["c"]}, exchanges=exchanges).component("worker").record
    assert record is not None
    assert record.period == 3 * DT


def test_a_spec_in_one_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exchanges are all at one place."""
    in_one_line = partial(yaml.safe_dump, default_flow_style=True, width=10_000)
    monkeypatch.setattr(yaml, "safe_dump", in_one_line)
    run = Run(spec_with(here))
    run.step(0)
    run.close()
    with open_record(here) as record:
        assert_holds(record, [0])


@contextmanager
def stopped_writer(recorder: Recorder) -> Iterator[None]:
    """A disk that takes nothing for a while."""
    os.kill(recorder.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(recorder.process.pid, signal.SIGCONT)


def test_a_slow_disk_makes_the_rank_wait_and_then_end(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Run(spec_with(here, {"buffer": 2}), 1)
    recorder = run.recorders[0]
    recorder.spec = replace(recorder.spec, time_limit=1.0)  # its process has started by now
    with stopped_writer(recorder):
        run.step(0)
        run.step(10)
        assert "slower" not in capfd.readouterr().err
        with pytest.raises(CouplingError, match="nothing was written for 1 s"):
            run.step(20)
    assert "the disk is slower than the model: waiting for it (2 records)" in capfd.readouterr().err
    recorder.abandon()
    with open_record(here) as record:
        assert_holds(record, [0, 10])
        assert not record.complete


def test_a_slow_disk_may_make_it_skip(here: Path) -> None:
    run = Run(spec_with(here, {"buffer": 2, "when_slow": "skip"}))
    with stopped_writer(run.recorders[1]):
        for date in range(0, 40, DT):
            run.step(date, range(1, 2))
    for date in range(0, 40, DT):
        run.step(date, range(1))
        run.settle()
    for date in range(100, 120, DT):
        run.step(date)
        run.settle()
    texts = run.close()
    assert "recorded 4 dates" in texts[1]
    assert "skipped 2 for which the disk was too slow" in texts[1]
    with open_record(here) as record:
        assert not record.complete
        first, second = (file.dates.tolist() for file in record.segments[0].files)
        assert (first, second) == ([0, 10, 20, 30, 100, 110], [0, 10, 100, 110])
        assert_holds(record, second)


def test_a_date_is_skipped_whole(here: Path) -> None:
    """The disk has room again when the answer is there, but the inputs were left out."""
    run = Run(spec_with(here, {"buffer": 1, "when_slow": "skip"}), 1)
    recorder = run.recorders[0]
    with stopped_writer(recorder):
        run.step(0)

        def compute() -> None:
            os.kill(recorder.process.pid, signal.SIGCONT)
            run.settle()

        run.step(10, compute=compute)
    run.step(20)
    assert "recorded 2 dates" in run.close()[0]
    with open_record(here) as record:
        assert_holds(record, [0, 20])


@pytest.mark.parametrize("flush", [1, 100])
def test_a_full_disk_leaves_whole_records(here: Path, flush: int) -> None:
    run = Run(spec_with(here, {"flush": flush, "buffer": 1}), 1)
    recorder = run.recorders[0]
    size = recorder.path.stat().st_size
    room = 270_000 + 20 * 4 * 8 * NX * NY * NZ  # what the writer claims, and some 20 records
    resource.prlimit(recorder.process.pid, resource.RLIMIT_FSIZE, (size + room, size + room))

    def fill() -> None:
        for date in range(0, 10_000, DT):
            run.step(date)

    with pytest.raises(CouplingError, match=r"File too large \(after \d+ records\); what was"):
        fill()
    recorder.abandon()
    with open_record(here) as record:
        count = len(record.dates)
        assert 5 < count < 40
        assert_holds(record, list(range(0, DT * count, DT)))
        assert not record.complete


def test_a_rank_that_is_gone_leaves_what_it_handed_over(here: Path) -> None:
    run = Run(spec_with(here), 1)
    for date in range(0, 50, DT):
        run.step(date)
    run.recorders[0].abandon()
    with open_record(here) as record:
        assert_holds(record, [0, 10, 20, 30, 40])
        assert not record.complete


def test_a_file_is_missing_or_is_no_record(here: Path) -> None:
    run = Run(spec_with(here), 3)
    run.step(0)
    run.close()
    (here / "worker_record_0.rank0001.nc").unlink()
    with pytest.raises(RecordError, match="the run from 0 s the files of ranks 1 are missing"):
        open_record(here)
    with pytest.raises(RecordError, match="nothing_here: got no file"):
        open_record("nothing_here")
    netCDF4.Dataset(here / "x.rank0000.nc", "w").close()
    with pytest.raises(RecordError, match="expected a record of halocline"):
        open_record("x")
