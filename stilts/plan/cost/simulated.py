"""The state of a simulated run: its nodes, the gangs that hold places on them, and the trials that gangs run."""

from dataclasses import dataclass, field

from stilts.experiment.machines import NodeType


@dataclass(eq=False, slots=True)
class Node:
    """A node, from its request to its end.

    Attributes:
        kind: name of its node type.
        places: number of ranks that it has room for.
        asked: time at which it was requested.
        free: number of places that no gang holds.
        idle: time since which no gang is on it; None while there is one.
        leaving: whether it was given notice, or is being removed because it is idle.
        gone: whether it has ended.
        trials: the trials that run on it, in order of their start.
    """

    kind: str
    type: NodeType
    places: int
    asked: float
    free: int = 0
    idle: float | None = None
    leaving: bool = False
    gone: bool = False
    trials: dict["Trial", None] = field(default_factory=dict)  # a dict is ordered: equal seeds give equal runs


@dataclass(eq=False, slots=True)
class Gang:
    """The places that one gang holds, as (node, number of places), and the time since which it has been warm."""

    held: list[tuple[Node, int]]
    warm: float = 0.0


@dataclass(eq=False, slots=True)
class Trial:
    """One trial of a stage.

    Attributes:
        name: name of the stage.
        started: time at which the trial started.
        began: time at which its training began, after the start-up of the gang.
        seconds: of the whole stage on this gang, from its first step on.
        over: whether the trial has ended.
    """

    name: str
    gang: Gang
    started: float
    began: float
    seconds: float
    over: bool = False

    def work(self, now: float) -> float:
        """Seconds of training from `began` until `now`."""
        return max(0.0, now - self.began)
