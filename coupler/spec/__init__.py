# SPDX-License-Identifier: MIT
"""The coupling spec as plain frozen data: read once, by `load_spec`; inside, it is trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Point = Literal["T", "U", "V", "F"]
Kind = Literal["scalar", "vector_i", "vector_j", "east", "north"]
Boundary = Literal["closed", "periodic"]
Fill = Literal["zero", "replicate", "reflect"]
Pivot = Literal["T", "F"]
Wire = Literal["float32", "float64"]
Operation = Literal["instant", "average", "accumulate", "min", "max"]
Layout = Literal["batch", "channels"]  # what the levels of a mapped network are
Transport = Literal["auto", "messages", "windows"]
GridFile = Literal["nemo", "cf", "oasis", "scrip"]
Method = Literal["identity", "nearest", "bilinear", "barycentric", "conservative", "conservative2"]
Generator = Literal["auto", "own", "yac"]
Normalisation = Literal["fraction", "destination"]
WhenSlow = Literal["wait", "skip"]
Precision = Literal["full", "tf32", "bfloat16", "float16"]
OnFailure = Literal["abort", "zero", "hold"]


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of an exchange; `levels` of (level, y, x) travel, as value * scale + offset."""

    name: str
    point: Point
    kind: Kind
    fill: Fill  # what halo cells outside a closed boundary hold
    levels: int
    place: str
    first_level: int = 1  # of the model's field
    model_levels: int | None = None  # of the model's field; None: all of them travel
    time: Operation = "instant"  # over the puts since the exchange's last date
    scale: float = 1.0
    offset: float | None = None
    masks: tuple[str, ...] = ()  # fields at the same point; by their product cells are regridded

    @property
    def last_level(self) -> int:
        return self.first_level + self.levels - 1

    @property
    def declared_levels(self) -> int:
        """What the model must declare."""
        return self.model_levels or self.levels


@dataclass(frozen=True, slots=True)
class FileGeometry:
    """Where the cells are is in a file."""

    path: Path
    kind: GridFile
    point: Point  # of nemo
    prefix: str | None  # of oasis: the grid's name in grids.nc


@dataclass(frozen=True, slots=True)
class AxesGeometry:
    """A rectilinear grid by its edges [degrees], in the order of the cells."""

    lon: tuple[float, ...]  # (nx + 1,)
    lat: tuple[float, ...]  # (ny + 1,)


@dataclass(frozen=True, slots=True)
class TripolarGeometry:
    """The generated tripolar grid: a bipolar cap north of `cap` [degrees]."""

    south: float
    cap: float


@dataclass(frozen=True, slots=True)
class Derived:
    """`by` x `by` cells of `parent` are one cell, or one cell of it is `by` x `by` cells."""

    parent: GridSpec
    step: Literal["coarsen", "refine"]
    by: int


Geometry = FileGeometry | AxesGeometry | TripolarGeometry | Derived


@dataclass(frozen=True, slots=True)
class GridSpec:
    name: str
    nx: int
    ny: int
    nz: int
    boundary_x: Boundary
    boundary_y: Boundary  # of the south alone where there is a north fold
    north: Pivot | None = None
    geometry: Geometry | None = None


@dataclass(frozen=True, slots=True)
class RegridSpec:
    """How an exchange goes from the model's grid to the worker's, or back."""

    grid: GridSpec  # the worker's
    method: Method | None  # None: the weights are in a file
    generator: Generator  # who makes them; auto: YAC for what there is no own code for
    weights: Path | None
    normalisation: Normalisation
    fallback: Literal["nan", "nearest"] | float  # what cells that the method leaves empty hold
    place: str
    cache: Path = Path("weights")  # the directory where weights are kept
    conserve: Literal["global", "positive"] | None = None  # how integrals are kept
    vectors: tuple[tuple[str, str], ...] = ()  # fields along i and j that are regridded together


@dataclass(frozen=True, slots=True)
class RecordSpec:
    """What a worker writes of its fields while it runs; see docs/recording.md."""

    fields: tuple[str, ...]  # of those to and from the worker
    period: int  # [s]
    first: int | None  # [s], the first and the last date that may be recorded
    last: int | None
    file: str  # without the ending; {component} and {start} are filled in
    precision: Wire | None  # None: the wire's
    deflate: int  # 0 to 9
    chunks: Mapping[str, int]  # time, level, y, x -> values of a chunk
    flush: int  # records after which the file is complete up to here
    buffer: int | None  # records that may wait for the disk; None: what fits in 64 MB
    when_slow: WhenSlow  # what happens when they all do
    overwrite: bool
    units: str  # of time
    calendar: str
    place: str


@dataclass(frozen=True, slots=True)
class MappedField:
    """A field as channels of a network. Statistics have one number, or one a level; () is none."""

    name: str
    place: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    mask: str | None = None  # a field above 0 where there is water
    fill: float | None = 0.0  # of an input elsewhere; None: its mean


@dataclass(frozen=True, slots=True)
class PredictorSpec:
    """What a worker loads, and how fields become its arguments."""

    python: str | None  # module:Class or module:function; else file
    arguments: Mapping[str, object]  # of the class
    file: Path | None  # TorchScript, torch.export, ONNX
    state: Path | None  # the weights of a class
    state_key: str | None  # the entry of a checkpoint that holds them
    inputs: tuple[MappedField, ...]  # channels of one tensor; empty: fields go by name
    outputs: tuple[MappedField, ...]
    layout: Layout
    dtype: Wire | None  # of the network; None: as its weights are
    trust: bool  # files may run code
    place: str

    def __str__(self) -> str:
        return self.python or (self.file.name if self.file else "?")


@dataclass(frozen=True, slots=True)
class InferenceSpec:
    """Where and how a worker's network runs."""

    device: str = "auto"  # auto, cpu, cuda: spread over the node's GPUs; cuda:1
    threads: int | str = "auto"  # of each rank; auto: its share of the node's free cores
    chunk: int | str = "auto"  # levels at a time; auto: the fastest of a few that are tried; all
    compile: bool = False  # by torch.compile
    precision: Precision = "full"  # full: what the network's weights have
    cuda_graph: bool = False
    allocator: bool = True  # glibc keeps freed memory
    warm_up: bool = True  # before the first step, with made-up values
    place: str = ""


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    name: str
    ranks: int
    command: tuple[str, ...]  # empty for a worker
    predictor: PredictorSpec | None
    decomposition: tuple[int, int] | None  # worker ranks in x and y; None: nearest aspect ratio
    place: str
    record: RecordSpec | None = None
    inference: InferenceSpec = InferenceSpec()
    on_failure: OnFailure = "abort"  # of the predictor

    @property
    def is_worker(self) -> bool:
        return not self.command


@dataclass(frozen=True, slots=True)
class ExchangeSpec:
    """Fields that travel together from `source` to `target`, every `period` seconds."""

    source: str
    target: str
    grid: GridSpec  # the model's
    period: int  # [s]
    lag: int  # periods between the inputs of an answer and the date at which it is got
    halo: int  # cells around a worker's box; 0 where it is still to be measured
    wire: Wire
    transport: Transport  # auto: shared windows within a node, messages between nodes
    check_finite: bool  # look for NaN and infinite values at every step: one pass over the values
    fields: tuple[FieldSpec, ...]
    static: tuple[FieldSpec, ...]  # sent once, at start, by the model
    place: str
    statistics: bool = False  # of every field, in a table
    measured: bool = False  # halo: auto; `ml_server.halos.halo` fills it in, from the predictor
    regrid: RegridSpec | None = None  # None: the worker's grid is the model's

    @property
    def worker_grid(self) -> GridSpec:
        """The grid of the worker's boxes, halo and arrays; `grid` is the model's."""
        return self.regrid.grid if self.regrid else self.grid

    @property
    def reduced(self) -> tuple[FieldSpec, ...]:
        """The fields of which the model holds a partial average, sum, minimum or maximum."""
        return tuple(field for field in self.fields if field.time != "instant")

    @property
    def conserved(self) -> tuple[FieldSpec, ...]:
        """The fields whose integrals are kept: scalars at T points without a mask that are none."""
        if self.regrid is None or self.regrid.conserve is None:
            return ()
        masks = {name for field in self.fields for name in field.masks}
        plain = [f for f in self.fields if f.point == "T" and f.kind == "scalar" and not f.masks]
        return tuple(field for field in plain if field.name not in masks)

    def __str__(self) -> str:
        names = ", ".join(field.name for field in self.fields)
        return f"{self.source} -> {self.target} ({names})"


@dataclass(frozen=True, slots=True)
class CouplingSpec:
    path: Path
    directory: Path  # where the job runs and writes
    namelist: Path | None
    reference: Mapping[str, object]  # namelist changes for an uncoupled run to compare with
    time_step: int  # [s]
    steps: int | None
    time_limit: float  # [s], the longest wait
    components: tuple[ComponentSpec, ...]
    exchanges: tuple[ExchangeSpec, ...]
    digest: str  # of the spec and the namelist as every Python rank must see them

    def component(self, name: str) -> ComponentSpec:
        return next(item for item in self.components if item.name == name)

    def incoming(self, name: str) -> tuple[ExchangeSpec, ...]:
        return tuple(item for item in self.exchanges if item.target == name)

    def outgoing(self, name: str) -> tuple[ExchangeSpec, ...]:
        return tuple(item for item in self.exchanges if item.source == name)

    def answered(self, answer: ExchangeSpec) -> ExchangeSpec:
        """The exchange to the worker that `answer` answers: the first of the same period."""
        return next(
            item
            for item in self.incoming(answer.source)
            if item.source == answer.target and item.period == answer.period
        )

    def index(self, exchange: ExchangeSpec) -> int:
        return self.exchanges.index(exchange)
