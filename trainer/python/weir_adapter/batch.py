"""One step's transitions, as numpy columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .protocol import Fields, ProtocolError

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

ROWS_MAX = 65_536
"""More rows than Weir sends in one batch."""
COLUMNS_MAX = 64

_INPUTS, _ACTIONS, _NOISES, _LOG_PROBS, _REWARDS, _WEIGHTS, _FLAGS = range(1, 8)
_TYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 2: np.dtype("u1")}
_CONTINUES, _EXPLORED, _REMEMBERED = 1, 2, 4


@dataclass(frozen=True)
class Batch:
    """Decisions with what came of them, in the order of their trajectories. Read-only arrays of ``len(batch)`` items."""

    inputs: Floats
    """[rows, inputs]: what the float network is shown, made from the integer features that the datapath saw."""
    actions: Floats
    """What was done, in the network's output units, after noise and guard. Regression: what was predicted."""
    noises: Floats
    """The exploration noise in the action; 0 where there was none."""
    log_probs: Floats
    """Logarithm of the probability density of the action under the integer policy that acted; 0 where it did not
    explore."""
    rewards: Floats
    """What came of it: 0 to 1 for pacing. Regression: the true value of what was predicted."""
    weights: Floats
    """How much the row counts, 1 for an ordinary one."""
    continues: Flags
    """Whether the row before is the same flow's decision directly before this one; never true for the first row."""
    explored: Flags
    """Whether the action was drawn at random. Rows that were not say nothing about other actions, but are as good for
    a value function."""
    remembered: Flags
    """Whether the row is older than Weir's window, shown again against forgetting."""

    def __len__(self) -> int:
        return len(self.actions)

    def trajectories(self) -> Iterator[slice]:
        """The rows of one flow's consecutive decisions, one slice after the other."""
        starts = np.flatnonzero(~self.continues)
        for start, end in zip(starts, [*starts[1:], len(self)]):
            yield slice(int(start), int(end))

    @staticmethod
    def parse(body: bytes, width: int) -> Batch:
        """The batch in the body of an ``ADAPT`` or ``EVALUATE``; columns that are not known here are passed over."""
        fields = Fields(body)
        rows, count = fields.number("I"), fields.number("I")
        if rows > ROWS_MAX or count > COLUMNS_MAX:
            raise ProtocolError(f"a batch of {rows} rows and {count} columns")
        columns: dict[int, NDArray[Any]] = {}
        for _ in range(count):
            number, code, zero, wide = (fields.number(kind) for kind in "HBBI")
            dtype = _TYPES.get(code)
            if dtype is None or zero != 0:
                raise ProtocolError(f"column {number} has type {code}")
            cells = np.frombuffer(fields.take(rows * wide * dtype.itemsize), dtype).reshape(rows, wide)
            columns[number] = cells
        fields.end()

        def column(number: int, wide: int, code: int) -> NDArray[Any]:
            cells = columns.get(number)
            if cells is None or cells.shape[1] != wide or cells.dtype != _TYPES[code]:
                raise ProtocolError(f"column {number} is missing, or not of width {wide} and type {code}")
            return cells

        flags = column(_FLAGS, 1, 2)[:, 0]
        continues = flags & _CONTINUES != 0
        if rows > 0 and continues[0]:
            raise ProtocolError("the first row continues a row that is not there")
        actions, noises, log_probs, rewards, weights = (
            column(number, 1, 1)[:, 0] for number in (_ACTIONS, _NOISES, _LOG_PROBS, _REWARDS, _WEIGHTS)
        )
        return Batch(
            inputs=column(_INPUTS, width, 1),
            actions=actions,
            noises=noises,
            log_probs=log_probs,
            rewards=rewards,
            weights=weights,
            continues=continues,
            explored=flags & _EXPLORED != 0,
            remembered=flags & _REMEMBERED != 0,
        )
