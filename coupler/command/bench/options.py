# SPDX-License-Identifier: MIT
"""Types of the benches' options, for argparse."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def numbers(count: int) -> Callable[[str], tuple[int, ...]]:
    def parse(text: str) -> tuple[int, ...]:
        words = text.split(",")
        if len(words) != count or not all(word.isascii() and word.isdigit() for word in words):
            expected = f"{count} whole numbers with commas between them"
            raise argparse.ArgumentTypeError(f"got '{text}', expected {expected}")
        return tuple(map(int, words))

    return parse


def at_least(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= least):
            raise argparse.ArgumentTypeError(
                f"got '{text}', expected a whole number, {least} or more"
            )
        return int(text)

    return parse
