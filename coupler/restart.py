# SPDX-License-Identifier: MIT
"""The coupler's restart: answers that a lag has not yet delivered and fields that the model has
partly accumulated, global, in one NetCDF file.

Written from any number of worker ranks, read by any number: no decomposition is in the file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import netCDF4
import numpy as np
from numpy.typing import NDArray

from coupler.channel import Channel
from coupler.partial import Partial
from coupler.routing.decomposition import Box
from coupler.spec import FieldSpec
from coupler.world import CouplingError, World

Array = NDArray[np.floating]
Pending = Sequence[Mapping[str, Array]]  # oldest first; each field (level, y, x), this rank's cells


def restart_path(file: str, component: str) -> Path:
    """`x_restart.nc` -> `x_restart.closure.nc`: every worker component has its own. Another ending
    may be all that tells two restarts apart and stays: `x.0010` -> `x.0010.closure.nc`."""
    path = Path(file)
    return path.with_name(f"{path.name.removesuffix('.nc')}.{component}.nc")


def _variables(channel: Channel) -> Iterator[tuple[str, str]]:
    for field in channel.fields:
        yield field.name, f"{channel.exchange.source}_to_{channel.exchange.target}_{field.name}"


def write_restart(
    world: World,
    file: str,
    date: int,
    pending: Sequence[tuple[Channel, Pending]],
    partial_fields: Sequence[tuple[Channel, Partial]] = (),
) -> None:
    """Collective over the component; rank 0 writes, under another name until it is complete."""
    path = restart_path(file, world.name)
    partial = path.with_name(path.name + ".partial")
    boxes = {id(channel): world.local.gather(channel.box) for channel, _ in pending}
    gathered = [
        (channel, lag, name, variable, world.local.gather(np.ascontiguousarray(answer[name])))
        for channel, answers in pending
        for lag, answer in enumerate(answers)
        for name, variable in _variables(channel)
    ]
    halves = [
        (channel, field, world.local.gather((channel.box, held.puts[name], held.arrays[name])))
        for channel, held in partial_fields
        for field, name in ((field, field.name) for field in channel.fields)
    ]
    if world.rank != 0:
        return
    try:
        with netCDF4.Dataset(partial, "w") as file_out:
            file_out.title = f"Answers of {world.name} still owed; fields for it not yet complete"
            file_out.date = np.int64(date)
            file_out.component = world.name
            for channel, lag, name, variable, parts in gathered:
                if variable not in file_out.variables:
                    _define(file_out, channel, name, variable)
                for box, part in zip(boxes[id(channel)] or (), parts or (), strict=True):
                    file_out[variable][lag, :, box.y0 : box.y1, box.x0 : box.x1] = part
            for channel, field, held in halves:
                _write_partial(file_out, channel, field, held or [])
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # netCDF4 tells of a full disk by a RuntimeError
        raise CouplingError(_unwritten(path, error)) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _unwritten(path: Path, error: OSError | RuntimeError) -> str:
    """Why there is no restart; one that was there before is still whole."""
    said = getattr(error, "strerror", None) or str(error)
    if not path.parent.is_dir():
        return f"coupling restart {path}: {said}; its directory is not there"
    free = shutil.disk_usage(path.parent).free
    return (
        f"coupling restart {path}: {said}; is its directory writable, and is there room? "
        f"{free / 1e6:,.1f} MB are free"
    )


def _partial_name(channel: Channel, field: FieldSpec) -> str:
    return f"{channel.exchange.source}_to_{channel.exchange.target}_{field.name}_partial"


def _operation(channel: Channel, field: FieldSpec) -> str:
    return f"{field.time} over {channel.exchange.period} s"


def _write_partial(
    file_out: netCDF4.Dataset,
    channel: Channel,
    field: FieldSpec,
    held: Sequence[tuple[Box, int, NDArray[np.float64]]],
) -> None:
    grid = channel.exchange.grid
    sizes = (f"level_{field.levels}", f"y_{grid.name}", f"x_{grid.name}")
    for dimension, size in zip(sizes, (field.levels, grid.ny, grid.nx), strict=True):
        if dimension not in file_out.dimensions:
            file_out.createDimension(dimension, size)
    variable = file_out.createVariable(_partial_name(channel, field), "float64", sizes)
    variable.operation = _operation(channel, field)
    variable.puts = max(puts for _, puts, _ in held)  # 0 from a rank that met no model rank
    for box, _, part in held:
        variable[:, box.y0 : box.y1, box.x0 : box.x1] = part


def _define(file_out: netCDF4.Dataset, channel: Channel, name: str, variable: str) -> None:
    field = next(field for field in channel.fields if field.name == name)
    grid = channel.exchange.grid
    sizes = {
        f"lag_{channel.lag}": channel.lag,
        f"level_{field.levels}": field.levels,
        f"y_{grid.name}": grid.ny,
        f"x_{grid.name}": grid.nx,
    }
    for dimension, size in sizes.items():
        if dimension not in file_out.dimensions:
            file_out.createDimension(dimension, size)
    file_out.createVariable(variable, channel.exchange.wire, tuple(sizes))


@contextmanager
def _opened(path: Path, date: int) -> Iterator[netCDF4.Dataset]:
    try:
        file_in = netCDF4.Dataset(path)
    except OSError as error:
        raise CouplingError(
            f"coupling restart {path}: {error.strerror}; hcl_write_restart writes it beside the "
            "model's restart (give no restart file to start with answers of zero)"
        ) from error
    with file_in:
        held_date = getattr(file_in, "date", None)
        if held_date != date:
            raise CouplingError(
                f"coupling restart {path}: got date {held_date} s, expected the run's "
                f"start, {date} s; take it and the model's restart from the same step"
            )
        yield file_in


def read_partial(world: World, file: str, date: int, channel: Channel) -> Partial:
    """This rank's cells of what the model had partly accumulated at `date`."""
    path, arrays, puts = restart_path(file, world.name), {}, {}
    with _opened(path, date) as file_in:
        box, grid = channel.box, channel.exchange.grid
        for field in channel.fields:
            data = file_in.variables.get(_partial_name(channel, field))
            held = "nothing" if data is None else str(data.operation)
            if data is None or held != _operation(channel, field):
                raise CouplingError(
                    f"coupling restart {path}: got {held} of '{field.name}', expected its "
                    f"{_operation(channel, field)} ({field.place}); go on with the same spec"
                )
            expected = (field.levels, grid.ny, grid.nx)
            if data.shape != expected:
                raise CouplingError(
                    f"coupling restart {path}: got (level, y, x) = {data.shape} of "
                    f"'{field.name}', expected {expected}; is it of another grid?"
                )
            part = np.ma.getdata(data[:, box.y0 : box.y1, box.x0 : box.x1])
            arrays[field.name], puts[field.name] = part, int(data.puts)
    return Partial(arrays, puts)


def read_restart(world: World, file: str, date: int, channel: Channel) -> list[dict[str, Array]]:
    """This rank's cells of the answers owed at `date`, oldest first. Every rank reads its own."""
    path = restart_path(file, world.name)
    with _opened(path, date) as file_in:
        box, grid = channel.box, channel.exchange.grid
        levels = {field.name: field.levels for field in channel.fields}
        answers: list[dict[str, Array]] = [{} for _ in range(channel.lag)]
        for name, variable in _variables(channel):
            if channel.lag == 0:
                break
            data = file_in.variables.get(variable)
            held = 0 if data is None else data.shape[0]
            if data is None or held != channel.lag:
                raise CouplingError(
                    f"coupling restart {path}: got {held} pending answers of '{name}', expected "
                    f"{channel.lag} (lag in {channel.exchange.place})"
                )
            expected = (levels[name], grid.ny, grid.nx)
            if data.shape[1:] != expected:
                raise CouplingError(
                    f"coupling restart {path}: got (level, y, x) = {data.shape[1:]} of '{name}', "
                    f"expected {expected}; is it of another grid?"
                )
            for lag, answer in enumerate(answers):
                part = data[lag, :, box.y0 : box.y1, box.x0 : box.x1]
                answer[name] = np.ma.getdata(part).astype(channel.exchange.wire)
        return answers
