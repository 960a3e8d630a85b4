# SPDX-License-Identifier: MIT
"""Reads what workers recorded: the files of all ranks and runs as one set of global arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from glob import escape, glob
from pathlib import Path
from types import TracebackType
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray

from coupler.routing.decomposition import Box
from coupler.spec.document import hint

Array = NDArray[Any]
Axis = NDArray[np.int64]
RANK = ".rank[0-9]*.nc"


class RecordError(Exception):
    """The files are no record, or not all of one."""


@dataclass(frozen=True)
class RankFile:
    """What one rank wrote in one run."""

    path: Path
    data: netCDF4.Dataset
    dates: Axis

    @property
    def rank(self) -> int:
        return int(self.data.rank)

    def box(self, grid: str) -> Box:
        return Box(*(int(edge) for edge in self.data[f"boxes_{grid}"][self.rank]))


@dataclass(frozen=True)
class Segment:
    """The files of one run, from one start of the job to its end."""

    start: int  # [s]
    files: tuple[RankFile, ...]
    dates: Axis  # that every rank has


@dataclass(frozen=True)
class RecordedField:
    """A global array (time, level, y, x) that is read when it is indexed.

    `field[3]`, `field[10:20, 0]`, `field[-1, :, 5:9, ::2]`: whole numbers and slices with a step
    above 0, as of a NumPy array; `np.asarray(field)` reads all of it.
    """

    name: str
    role: str  # input | answer | static
    attributes: Mapping[str, Any]  # grid, point, kind, ...
    shape: tuple[int, int, int, int]  # a static field has one time
    dtype: np.dtype[Any]
    variable: str
    segments: tuple[Segment, ...]

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        values = self[...]
        return values if dtype is None else values.astype(dtype)

    def __getitem__(self, index: Any) -> Array:
        time, level, y, x = axes = _axes(index, self.shape)
        found = np.zeros([len(axis) for axis, _ in axes], self.dtype)
        first = 0
        for segment in self.segments:
            here = (time[0] >= first) & (time[0] < first + len(segment.dates))
            if here.any() or self.role == "static":
                dates = segment.dates[time[0][here] - first]
                self._read(segment, dates, (level[0], y[0], x[0]), found, np.flatnonzero(here))
            first += len(segment.dates)
            if self.role == "static":
                break  # every run sends the same
        return found[tuple(0 if single else slice(None) for _, single in axes)]

    def _read(
        self,
        segment: Segment,
        dates: Axis,
        axes: tuple[Axis, Axis, Axis],
        found: Array,
        times: Axis,
    ) -> None:
        level, y, x = axes
        for file in segment.files:
            box = file.box(self.attributes["grid"])
            rows = np.flatnonzero((y >= box.y0) & (y < box.y1))
            columns = np.flatnonzero((x >= box.x0) & (x < box.x1))
            if not (rows.size and columns.size and level.size):
                continue
            place = (_slice(level), _slice(y[rows] - box.y0), _slice(x[columns] - box.x0))
            there = np.s_[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            variable = file.data[self.variable]
            if self.role == "static":
                found[:, *there] = variable[place]
                continue
            records = _slice(np.searchsorted(file.dates, dates))
            found[_slice(times), *there] = variable[(records, *place)]


@dataclass(frozen=True)
class Record:
    """`record["u"]` is a field; `dates` [s] name the starts of the steps. Close it after use."""

    component: str
    segments: tuple[Segment, ...]

    @cached_property
    def dates(self) -> Axis:
        return np.concatenate([segment.dates for segment in self.segments])

    @property
    def attributes(self) -> dict[str, Any]:
        """Of the first file: spec, spec_digest, time_step, period, ..."""
        data = self.segments[0].files[0].data
        return {name: data.getncattr(name) for name in data.ncattrs()}

    @property
    def time_units(self) -> tuple[str, str]:
        """Units and calendar of `dates`."""
        time = self.segments[0].files[0].data["time"]
        return str(time.units), str(time.calendar)

    @property
    def complete(self) -> bool:
        """Did every rank end its run and write every date?"""
        files = [file.data for segment in self.segments for file in segment.files]
        return all(int(data.complete) == 1 and int(data.skipped) == 0 for data in files)

    def size(self, grid: str) -> tuple[int, int]:
        """Cells of `grid` along x and y."""
        nx, ny = self.attributes[f"size_{grid}"].tolist()
        return nx, ny

    @cached_property
    def fields(self) -> dict[str, RecordedField]:
        """By variable: a field's name, or `u_answer` where `u` comes and goes."""
        data = self.segments[0].files[0].data
        found = {}
        for variable in data.variables.values():
            if "role" not in variable.ncattrs():
                continue
            attributes = {name: variable.getncattr(name) for name in variable.ncattrs()}
            nx, ny = self.size(attributes["grid"])
            static = attributes["role"] == "static"
            levels = variable.shape[0 if static else 1]
            found[variable.name] = RecordedField(
                str(attributes["field"]),
                str(attributes["role"]),
                attributes,
                (1 if static else len(self.dates), levels, ny, nx),
                variable.dtype,
                variable.name,
                self.segments,
            )
        return found

    def __getitem__(self, variable: str) -> RecordedField:
        if variable not in self.fields:
            raise RecordError(f"the record has no '{variable}'{hint(variable, self.fields)}")
        return self.fields[variable]

    def of_role(self, role: str) -> dict[str, RecordedField]:
        """By name: the fields that are `input`, `answer` or `static`."""
        return {f.name: f for f in self.fields.values() if f.role == role}

    def owned(self, grid: str) -> NDArray[np.bool_]:
        """(y, x): false on land that the model dropped."""
        nx, ny = self.size(grid)
        owned = np.zeros((ny, nx), np.bool_)
        for file in self.segments[0].files:
            box = file.box(grid)
            if box.cells:
                owned[box.y0 : box.y1, box.x0 : box.x1] = file.data[f"owned_{grid}"][:] == 1
        return owned

    def close(self) -> None:
        for segment in self.segments:
            for file in segment.files:
                file.data.close()

    def __enter__(self) -> Record:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_record(path: str | Path) -> Record:
    """`path`: any file of a record, its name without `.rank0000.nc`, the beginning of the names of
    several runs, a pattern, or a directory that holds one worker's record.

    Where a run repeats dates of one that started earlier, the later start counts.
    Raises RecordError.
    """
    files = [_open(found) for found in find_files(path)]
    workers = sorted({str(file.data.component) for file in files})
    if len(workers) > 1:
        names = " and ".join(workers)
        raise RecordError(f"{path}: got records of {names}, expected one worker's; name one")
    starts = sorted({int(file.data.start) for file in files})
    groups = [[file for file in files if int(file.data.start) == start] for start in starts]
    segments = [_segment(start, group) for start, group in zip(starts, groups, strict=True)]
    for number, segment in enumerate(segments[:-1]):
        later = min((s.start for s in segments[number + 1 :]), default=segment.start)
        kept = segment.dates[segment.dates < later]
        segments[number] = Segment(segment.start, segment.files, kept)
    _check_alike(segments)
    return Record(workers[0], tuple(segments))


def find_files(path: str | Path) -> list[Path]:
    text = str(path)
    if Path(text).is_file():
        text = text[: text.rfind(".rank")] if ".rank" in text else text
    if Path(text).is_dir():
        patterns = [f"{escape(text)}/*{RANK}"]
    else:  # a name as it is, with brackets that may be in it, before a pattern
        begins = (escape(text), text)
        patterns = [p for begin in begins for p in (begin + RANK, begin, f"{begin}*{RANK}")]
    for pattern in patterns:
        found = sorted(Path(name) for name in glob(pattern) if Path(name).is_file())
        if found:
            return found
    raise RecordError(f"{path}: got no file *.rank0000.nc, expected a record's; is its name right?")


def _open(path: Path) -> RankFile:
    try:
        data = netCDF4.Dataset(path)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror or error}") from error
    data.set_auto_maskandscale(False)
    if "halocline_record" not in data.ncattrs():
        raise RecordError(f"{path}: got a NetCDF file, expected a record of halocline")
    return RankFile(path, data, data["time"][:].astype(np.int64))


def _segment(start: int, files: Sequence[RankFile]) -> Segment:
    """Files of one run; every rank that had steps must be there, once."""
    first = files[0].data
    ranks = [file.rank for file in files]
    expected = np.atleast_1d(first.writers).tolist()
    if sorted(ranks) != expected:
        missing = [rank for rank in expected if rank not in ranks]
        left = [rank for rank in ranks if rank not in expected]
        if missing:
            text = f"the files of ranks {', '.join(map(str, missing))} are missing"
        elif left:
            text = (
                f"the files of ranks {', '.join(map(str, left))} are of another run, before it was "
                f"written again by {len(expected)}; remove them"
            )
        else:
            text = "two files of one rank and start; name one record, not several"
        raise RecordError(f"{files[0].path}: of the run from {start} s {text}")
    dates = files[0].dates
    for file in files[1:]:  # a rank that was stopped, or that skipped, has fewer
        dates = np.intersect1d(dates, file.dates)
    return Segment(start, tuple(files), dates)


def _check_alike(segments: Sequence[Segment]) -> None:
    def described(segment: Segment) -> dict[str, tuple[Any, ...]]:
        variables = segment.files[0].data.variables.values()
        return {
            v.name: (v.role, v.grid, v.dtype.str, v.dimensions[-3])
            for v in variables
            if "role" in v.ncattrs()
        }

    for segment in segments[1:]:
        if described(segment) != described(segments[0]):
            raise RecordError(
                f"{segment.files[0].path}: got other fields, levels or precision than in "
                f"{segments[0].files[0].path}; open them one by one"
            )


def _axes(index: Any, shape: tuple[int, ...]) -> list[tuple[Axis, bool]]:
    """Of each axis the indices, and whether one number took the axis away."""
    items = list(index) if isinstance(index, tuple) else [index]
    rest = len(shape) - sum(item is not Ellipsis for item in items)
    if rest < 0:
        raise IndexError(f"got {len(items)} indices, expected (time, level, y, x)")
    if Ellipsis not in items:
        items.append(Ellipsis)
    at = items.index(Ellipsis)
    items[at : at + 1] = [slice(None)] * rest
    found = []
    for item, size in zip(items, shape, strict=True):
        if isinstance(item, slice):
            if (item.step or 1) < 1:
                raise IndexError(f"got a step of {item.step}, expected one above 0")
            found.append((np.arange(size, dtype=np.int64)[item], False))
        else:
            found.append((np.array([range(size)[item]], np.int64), True))
    return found


def _slice(indices: Axis) -> Any:
    """Increasing indices as a slice where they have one step: reading that is quicker."""
    steps = np.unique(np.diff(indices))
    if len(steps) > 1:
        return indices
    return slice(int(indices[0]), int(indices[-1]) + 1, int(steps[0]) if len(steps) else 1)
