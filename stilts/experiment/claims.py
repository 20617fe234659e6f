"""Claims: statements about results that an experiment puts to the test (`stilts claims`).

A claim has one of five kinds: a difference, an order, a share, a correlation or a ratio. Each says what is measured
(`Scope`) and for which values it is true (`Statement`). `docs/claims.md` describes how verdicts are reached.
"""

import math
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from stilts.experiment.names import Language, Name, check_distinct
from stilts.experiment.recipe import Frozen

TRANSFER = "transfer"
"""Value of `languages` for every language but English."""

Number = Annotated[float, Field(ge=-1e6, le=1e6, strict=False)]
Names = Annotated[tuple[Name, ...], Field(min_length=1)]


class Scope(Frozen):
    """What a claim is about: the scores that it compares."""

    target: str | Annotated[tuple[str, ...], Field(min_length=1)]
    """A target, an average of the benchmark (`xtreme`, `qa` ...), or a list of targets, of whose scores the plain mean
    is taken."""
    model: Name | None = None
    """Base model. It may be left out if the experiment has one only."""
    split: Literal["dev", "test"] | None = None
    """Split of the evaluations. Empty: test if the experiment evaluates it, else dev."""
    languages: Literal["all", "transfer"] | Annotated[tuple[Language, ...], Field(min_length=1)] = "all"
    """all: every evaluated language. transfer: every language but English. Or a list."""
    condition: str = "clean"
    """`clean`, or kind and rate of a noise that the experiment declares: `swap@0.1`."""
    metric: str | None = None
    """Metric, such as `f1`. Empty: the main metric of each target."""

    @field_validator("target", "languages", mode="after")
    @classmethod
    def _distinct(cls, value: object) -> object:
        if isinstance(value, tuple):
            check_distinct(value)
        return value

    @property
    def names(self) -> tuple[str, ...]:
        """`target` as a tuple."""
        return (self.target,) if isinstance(self.target, str) else self.target


class Statement(Frozen):
    """The values for which a claim is true."""

    above: Number | None = None
    """True for values greater than this number."""
    at_least: Number | None = None
    """True for this number and greater ones."""
    below: Number | None = None
    """True for values smaller than this number."""
    at_most: Number | None = None
    """True for this number and smaller ones."""
    near: Number | None = None
    """True for values that differ from this number by at most `within`. Default, if `within` is given: 0."""
    within: Annotated[float, Field(gt=0, le=1e6, strict=False)] | None = None
    """Tolerance around `near`."""

    @model_validator(mode="after")
    def _is_one_region(self) -> "Statement":
        low, high = (self.above, self.at_least), (self.below, self.at_most)
        if None not in low or None not in high:
            raise ValueError("give one of above and at_least, and one of below and at_most")
        limited = any(end is not None for end in (*low, *high))
        if self.near is not None and self.within is None:
            raise ValueError("near needs within, the tolerance in which values count as equal")
        if self.within is not None and limited:
            raise ValueError("give within (with near), or limits (above, at_least, below, at_most), not both")
        if self.within is None and not limited:
            raise ValueError("give what it says: above, at_least, below, at_most, or within")
        if self.ends[0] >= self.ends[1]:
            raise ValueError(f"no value lies above {self.ends[0]:g} and below {self.ends[1]:g}")
        return self

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest value for which it is true; an infinite end stands for no limit."""
        if self.within is not None:
            return (self.near or 0.0) - self.within, (self.near or 0.0) + self.within
        low = next((end for end in (self.above, self.at_least) if end is not None), -math.inf)
        high = next((end for end in (self.below, self.at_most) if end is not None), math.inf)
        return low, high

    @property
    def words(self) -> str:
        """The statement in words: `above 0`, `within 1 of 0`."""
        if self.within is not None:
            return f"within {self.within:g} of {self.near or 0:g}"
        limits = {"above": self.above, "at least": self.at_least, "below": self.below, "at most": self.at_most}
        return " and ".join(f"{word} {end:g}" for word, end in limits.items() if end is not None)


class Difference(Scope, Statement):
    """The score of one regime less that of another, in points, paired by seed."""

    regime: Name
    """The regime that is said to be better or worse, or equal."""
    against: Name = "none"
    """The regime that it is compared with."""


class Order(Scope):
    """Which regime is the best, or how several rank. Give `best` or `ranked`."""

    best: Name | None = None
    """The regime that is said to have the highest mean."""
    among: Names | None = None
    """The regimes that `best` is compared with. Empty: all."""
    ranked: Annotated[tuple[Name, ...], Field(min_length=2)] | None = None
    """Regimes from the highest to the lowest mean."""

    @field_validator("among", "ranked", mode="after")
    @classmethod
    def _regimes_are_distinct(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        check_distinct(value or ())
        return value

    @model_validator(mode="after")
    def _is_one_order(self) -> "Order":
        if (self.best is None) == (self.ranked is None):
            raise ValueError("give best or ranked")
        if self.ranked is not None and self.among is not None:
            raise ValueError("among belongs to best; ranked names its regimes itself")
        return self


class Share(Scope, Statement):
    """The share of some regimes, languages or seeds, from 0 to 1, that gain more than `gain_above` points."""

    of: Literal["regimes", "languages", "seeds"]
    """What is counted. regimes: those of `regimes`. languages, seeds: those of `regime`."""
    regimes: Names | None = None
    """The regimes that are counted. Empty: all but `against`."""
    regime: Name | None = None
    """The regime whose languages or seeds are counted."""
    against: Name = "none"
    """The regime that they are compared with."""
    gain_above: Number = 0.0
    """Points that must be gained to count."""

    @model_validator(mode="after")
    def _counts_something(self) -> "Share":
        if self.of == "regimes" and self.regime is not None:
            raise ValueError("a share of regimes takes regimes: [A, B], not regime")
        if self.of != "regimes" and (self.regime is None or self.regimes is not None):
            raise ValueError(f"a share of {self.of} takes regime: NAME")
        if self.ends[0] > 1 or self.ends[1] < 0:
            raise ValueError("a share lies between 0 and 1")
        return self


class Correlation(Scope, Statement):
    """Pearson's correlation, over languages other than English, of a regime's gain with the distance to English."""

    regime: Name
    """The regime whose gain is correlated."""
    against: Name = "none"
    """The regime over which it gains."""
    distance: Literal["syntax", "phonology", "inventory", "family", "geography"]
    """Feature of the distance to English (URIEL)."""
    minus_model: Name | None = None
    """A second base model: the claim is then about the correlation of `model` less that of this model, over the
    languages that both have."""

    @model_validator(mode="after")
    def _is_of_one_target(self) -> "Correlation":
        if self.condition != "clean" or self.metric is not None or len(self.names) > 1:
            raise ValueError("a correlation is of one target (or of target: all), on clean data, in the main metric")
        return self


class Ratio(Scope, Statement):
    """The loss under a noise as a ratio: to the score on clean data, or to the loss of another regime."""

    regime: Name
    """The regime that loses."""
    against: Name | None = None
    """Divide by the loss of this regime. Empty: divide by the regime's own score on clean data."""

    @model_validator(mode="after")
    def _is_under_noise(self) -> "Ratio":
        if self.condition == "clean":
            raise ValueError("a ratio is about a loss under noise: give condition, such as swap@0.1")
        return self


Kind = Difference | Order | Share | Correlation | Ratio


class ClaimDecl(Frozen):
    """One claim. Give its text and one of `difference`, `order`, `share`, `correlation` and `ratio`."""

    text: Annotated[str, Field(min_length=1, max_length=2000)]
    """The claim in a sentence, as its source or the study makes it."""
    source: Annotated[str, Field(max_length=2000)] | None = None
    """Where the claim is made. Empty: by this experiment."""
    differs: Annotated[str, Field(max_length=2000)] | None = None
    """In what this experiment differs from the source: model, data, languages."""
    difference: Difference | None = None
    """A regime is better or worse than another, or equal within a tolerance."""
    order: Order | None = None
    """A regime is the best, or several rank in an order."""
    share: Share | None = None
    """A share of the regimes, languages or seeds gains."""
    correlation: Correlation | None = None
    """A gain goes with the languages' distance to English."""
    ratio: Ratio | None = None
    """A loss under noise, relative to the score on clean data or to another regime's loss."""

    @model_validator(mode="after")
    def _has_one_kind(self) -> "ClaimDecl":
        if len(self._kinds) != 1:
            raise ValueError("give one of difference, order, share, correlation and ratio")
        return self

    @property
    def _kinds(self) -> dict[str, Kind]:
        found = {name: getattr(self, name) for name in ("difference", "order", "share", "correlation", "ratio")}
        return {name: kind for name, kind in found.items() if kind is not None}

    @property
    def kind(self) -> str:
        """Name of its kind."""
        return next(iter(self._kinds))

    @property
    def statement(self) -> Kind:
        """What is tested."""
        return self._kinds[self.kind]
