"""The base class of tuners."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass

from .batch import Batch


@dataclass(frozen=True)
class Report:
    """What one call of :meth:`Adapter.adapt` did."""

    loss: float
    """The loss on the batch before the last gradient step; finite. Weir shows it and decides nothing by it."""
    rows: int
    """Rows that were tuned on; others of the batch were of no use."""
    steps: int
    """Gradient steps."""
    gradient_norm: float = math.nan
    """Euclidean norm of the last gradient, before clipping; not a number where there is none."""


class Adapter(abc.ABC):
    """Tunes one model: LiteFlow's three interfaces.

    In each of its steps with enough rows Weir calls :meth:`adapt`, then :meth:`evaluate`, and :meth:`freeze` once the
    stability values have been flat for a while. It trusts nothing that comes back: a frozen network is read as any
    user's file is, and passes the gate or is refused.

    One object belongs to one connection, and so to one model of one Weir. Its methods are called one at a time, each
    within the model's ``deadline``. What a method raises is told to Weir and logged; the object stays in use.
    """

    @abc.abstractmethod
    def adapt(self, batch: Batch) -> Report:
        """Learns from one step's transitions."""

    @abc.abstractmethod
    def evaluate(self, batch: Batch) -> float:
        """The stability value on ``batch``, without learning from it; finite.

        Weir looks at how it moves, not at what it is: once its last values differ little, learning has converged and
        the network may be published. A loss, a mean reward or a mean output serve.
        """

    @abc.abstractmethod
    def freeze(self) -> bytes:
        """The float network as it is now, as ONNX bytes.

        It has the inputs and outputs of the model that it started from, and operators of Weir's closed set only.
        """

    def reset(self, onnx: bytes) -> None:
        """Starts over from this network: Weir has rolled back, or refused what was frozen.

        As it stands, the server makes a new object of the same kind. Override it to keep what is worth keeping.
        """
        raise NotImplementedError
