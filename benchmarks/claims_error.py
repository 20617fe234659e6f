"""Measures by simulation how often verdicts of claims are wrong, and how often claims are decided.

Draws the scores of regimes over seeds with known means, and judges families of claims with the functions that `stilts
claims` uses. A verdict is wrong if a claim that is false is supported, or one that is true is contradicted.

    python benchmarks/claims_error.py --draws 2000 --json claims_error.json
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from stilts.experiment.claims import ClaimDecl, Correlation, Difference, Order, Ratio, Share
from stilts.plan.claims import Claim
from stilts.results.claims.judge import judge, region_of
from stilts.results.claims.scores import ClaimScores
from stilts.results.scores import Score
from stilts.statistics.verdict import Verdict, simultaneous_level

SEEDS = (3, 5, 10)
REGIMES = ("none", *(f"r{i}" for i in range(1, 8)))
LANGUAGES = tuple(f"l{i}" for i in range(15))
LOSS = 10.0
"""Mean loss under noise of `none`; every other regime loses 80 % of it."""

EFFECTS = {
    "no effect": np.zeros(8),
    "some help": np.array([0, 4, 2, 0, 0, -2, 1, 3.0]),
    "all help": np.array([0, 4, 3, 3, 2, 2, 1, 3.5]),
}
"""Means of the regimes over that of `none`, in standard deviations of a score over seeds."""
SHAPES = ("normal", "baseline varies more", "skewed")

CLAIMS: Mapping[str, Mapping[str, object]] = {
    "r1 above": {"difference": {"regime": "r1", "target": "t", "above": 0}},
    "r2 at least 1": {"difference": {"regime": "r2", "target": "t", "at_least": 1}},
    "r3 equal": {"difference": {"regime": "r3", "target": "t", "within": 1.5}},
    "r5 below": {"difference": {"regime": "r5", "target": "t", "below": 0}},
    "r1 best": {"order": {"target": "t", "best": "r1"}},
    "ranking": {"order": {"target": "t", "ranked": ["r1", "r2", "none"]}},
    "most help": {"share": {"target": "t", "of": "regimes", "at_least": 0.5}},
    "r1 in most runs": {"share": {"target": "t", "of": "seeds", "regime": "r1", "above": 0.5}},
    "smaller loss": {"ratio": {"target": "t", "regime": "r1", "against": "none", "condition": "swap@0.1", "below": 1}},
    "with distance": {"correlation": {"target": "t", "regime": "r1", "distance": "syntax", "below": 0}},
}


@dataclass(frozen=True)
class Result:
    """How a family of claims was judged.

    Attributes:
        wrong: percent of the draws in which any verdict of the family was wrong; promised: at most 5.
        decided: percent of the true claims that were supported and of the false ones that were contradicted.
    """

    effects: str
    shape: str
    seeds: int
    wrong: float
    decided: float


class Drawn(ClaimScores):
    """One draw of the scores that a claim compares, in place of those of a table."""

    def __init__(self, claim: Claim, scores: Mapping[tuple[str, str], np.ndarray]) -> None:
        self.claim, self._scores = claim, scores

    def of(self, regime: str, condition: str | None = None, language: str | None = None) -> dict[int, Score]:
        values = self._scores[regime, condition or self.claim.statement.condition]
        return {seed: Score(float(v), "ok", frozenset([f"{regime}{seed}"])) for seed, v in enumerate(values)}


def claims() -> list[Claim]:
    """The family, with its names resolved."""
    found = []
    for name, declared in CLAIMS.items():
        decl = ClaimDecl.model_validate({"text": name, **declared})
        ranked = decl.statement.ranked if isinstance(decl.statement, Order) else None
        regimes = ranked or (*REGIMES[1:], "none") if decl.kind in ("order", "share") else REGIMES
        found.append(Claim(name, decl, ("base",), regimes, ("t",), "test"))
    return found


def deviations(shape: str, size: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Deviations of scores from their means, [seeds, regimes] with a standard deviation of 1 on average."""
    if shape == "skewed":
        return 1 - random.exponential(size=size)
    spread = np.ones(size[1])
    if shape == "baseline varies more":
        spread[0] = 3
    return random.normal(size=size) * spread


def draw(means: np.ndarray, shape: str, seeds: int, random: np.random.Generator) -> dict[tuple[str, str], np.ndarray]:
    """(regime, condition) -> scores of the seeds."""
    clean = 60 + means + deviations(shape, (seeds, len(means)), random) + random.normal(size=(seeds, 1))
    loss = np.where(np.arange(len(means)) == 0, LOSS, 0.8 * LOSS) + random.normal(size=clean.shape)
    found = {(name, "clean"): clean[:, i] for i, name in enumerate(REGIMES)}
    return found | {(name, "swap@0.1"): clean[:, i] - loss[:, i] for i, name in enumerate(REGIMES)}


def is_true(claim: Claim, means: np.ndarray, slope: float, shape: str) -> bool | None:
    """Whether a claim holds for the true means; None where the truth is not known in closed form."""
    gain, statement = dict(zip(REGIMES, means, strict=True)), claim.statement
    if isinstance(statement, Difference):
        low, high = statement.ends
        value = gain[statement.regime] - gain[statement.against]
        return (value > low if statement.above is not None else value >= low) and (
            value < high if statement.below is not None else value <= high
        )
    if isinstance(statement, Order) and statement.ranked:
        return all(gain[a] > gain[b] for a, b in zip(statement.ranked, statement.ranked[1:], strict=False))
    if isinstance(statement, Order):
        return all(gain[statement.best or ""] > gain[other] for other in REGIMES if other != statement.best)
    if isinstance(statement, Share) and statement.of == "regimes":
        share = sum(means[1:] > 0) / (len(means) - 1)
        return region_of(statement).judge((share, share)) is Verdict.SUPPORTED
    if isinstance(statement, Share):  # the median of a difference of two skewed scores with one shape is their mean's
        return None if shape == "skewed" and gain["r1"] else bool(gain["r1"] > 0)
    if isinstance(statement, Correlation):
        return slope < 0
    assert isinstance(statement, Ratio)
    return True


def measure(effects: str, shape: str, seeds: int, draws: int, random: np.random.Generator) -> Result:
    """Judge the family of claims many times."""
    family, means = claims(), EFFECTS[effects]
    level, slope = simultaneous_level(len(family)), -1.0 if means.any() else 0.0
    truth = {claim.name: is_true(claim, means, slope, shape) for claim in family}
    any_wrong, right, judged = 0, 0, 0
    for _ in range(draws):
        scores, points = draw(means, shape, seeds, random), list(languages(slope, random))
        wrong = False
        for claim in family:
            verdict = judge(Drawn(claim, scores), lambda *_: points, level).verdict  # noqa: B023 (used at once)
            true = truth[claim.name]
            if true is None:
                continue
            good, bad = Verdict.SUPPORTED, Verdict.CONTRADICTED
            wrong |= verdict is (bad if true else good)
            right += verdict is (good if true else bad)
            judged += 1
        any_wrong += wrong
    return Result(effects, shape, seeds, 100 * any_wrong / draws, 100 * right / judged)


def languages(slope: float, random: np.random.Generator) -> Iterator[dict[str, object]]:
    """Rows of `similarity_points`: gains that fall with the distance, if there is a slope."""
    for name in LANGUAGES:
        distance = float(random.normal())
        row = {"model": "base", "target": "t", "split": "test", "language": name, "distance_syntax": distance}
        yield {**row, "gain": slope * distance + float(random.normal())}


def main() -> None:
    """Parse the command line, simulate, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    random = np.random.default_rng(1)
    results = [
        measure(effects, shape, seeds, arguments.draws, random)
        for effects in EFFECTS
        for shape in SHAPES
        for seeds in SEEDS
    ]
    table = Table("effects", "scores", "seeds", "any wrong verdict, %", "decided, %", box=None)
    for row in results:
        table.add_row(row.effects, row.shape, str(row.seeds), f"{row.wrong:.1f}", f"{row.decided:.0f}")
    console = Console(width=100)
    console.print(
        f"{len(CLAIMS)} claims a family, {arguments.draws} draws; at most 5 % of families may have a wrong one"
    )
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in results], indent=1) + "\n")


if __name__ == "__main__":
    main()
