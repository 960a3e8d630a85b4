# SPDX-License-Identifier: MIT
"""`halocline check --seams`: random fields through every worker's predictor, whole and in parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from coupler.command.pictures import drawn, into
from coupler.command.tables import say
from ml_server.halos.halo import Fit
from ml_server.halos.probe import Unmeasurable
from ml_server.halos.seams import PLACES, Comparison, Seams, compare_seams
from ml_server.predictor import Predictor, PredictorError


def check_seams(
    console: Console, fitted: Sequence[tuple[Predictor, Fit]], picture: Path | None
) -> bool:
    """Whether the ranks of all workers answer as one does; a table, and a picture if asked for."""
    passed = True
    for predictor, fit in fitted:
        try:
            seams = compare_seams(predictor, fit)
        except Unmeasurable as reason:
            say(console, f"note     {fit.worker}: seams: {predictor.name}: {reason}")
            continue
        except Exception as error:  # whatever a user's predictor raises
            kind = "" if isinstance(error, PredictorError) else f"{type(error).__name__}: "
            say(console, f"{fit.worker}: seams: {predictor.name}: {kind}{error}", "bold red")
            passed = False
            continue
        _print(console, seams)
        if picture is not None:
            path = (
                picture if len(fitted) == 1 else picture.with_stem(f"{picture.stem}.{fit.worker}")
            )
            passed &= _draw(console, seams, path)
        passed &= seams.passed
    return passed


def _print(console: Console, seams: Seams) -> None:
    for remark in seams.remarks:
        say(console, f"note     {seams.worker}: seams: {remark}")
    title = (
        f"{seams.worker}: {seams.split.ranks} ranks with halo {seams.halo} against the whole grid, "
        f"{seams.split.nx} x {seams.split.ny}"
    )
    table = Table("answer", "near", "cells", "largest difference", "of the largest answer", "")
    table.title, table.title_justify = title, "left"
    for column in table.columns[2:5]:
        column.justify = "right"
    for comparison in seams.comparisons:
        for place in PLACES:
            cells = int(comparison.places[place].sum())
            if cells:
                largest = comparison.largest(place)
                part = largest / comparison.scale if comparison.scale else largest
                row = (f"{largest:.3g}", f"{part:.1e}" if part else "0")
                table.add_row(
                    comparison.name, place, f"{cells:,}", *row, _verdict(part, comparison)
                )
    console.print(table)


def _verdict(part: float, comparison: Comparison) -> Text:
    if part == 0:
        return Text("every bit", style="green")
    if part <= comparison.tolerance:
        return Text(f"within {comparison.tolerance:g}", style="green")
    return Text(f"beyond {comparison.tolerance:g}", style="bold red")


def _draw(console: Console, seams: Seams, path: Path) -> bool:
    def draw() -> Path:
        from coupler.command.seam_picture import draw_seams

        return into(path, lambda file: draw_seams(seams, file))

    return drawn(console, draw)
