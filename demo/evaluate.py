"""What the demo measures of the model: does a sentence find its paraphrase among all the others?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from demo.minilm import Encoder

PARAPHRASES = (
    ("A man is playing a guitar.", "Someone strums an acoustic guitar."),
    ("The cat sleeps on the sofa.", "A kitten is napping on the couch."),
    ("How do I reset my password?", "I forgot my login credentials and need new ones."),
    ("The stock market fell sharply today.", "Shares dropped steeply this afternoon."),
    ("She bakes bread every Sunday.", "Each weekend she makes a fresh loaf in her oven."),
    (
        "The train to Paris leaves at noon.",
        "At twelve o'clock the railway service to the French capital departs.",
    ),
    ("Water boils at one hundred degrees.", "At 100 °C liquid water turns into steam."),
    ("The children are playing football in the park.", "Kids kick a ball around outdoors."),
    ("My phone battery dies quickly.", "The charge of my mobile does not last long."),
    ("The doctor prescribed antibiotics.", "A physician gave the patient medicine against bacteria."),
    ("It rained all night.", "There was a downpour until the morning."),
    ("The court found him guilty.", "He was convicted by the judge."),
    ("Learning a language takes practice.", "You must exercise often to master foreign speech."),
    ("The bridge is closed for repairs.", "Maintenance work has shut the river crossing."),
    ("He paid the bill with his credit card.", "The invoice was settled using plastic."),
    ("The telescope discovered a new planet.", "Astronomers spotted an unknown world."),
)


@dataclass(frozen=True)
class Score:
    """Of one sentence."""

    sentence: str
    similarity: float
    """Cosine with its own paraphrase."""
    best_other: float
    """Cosine with the nearest of the other paraphrases."""

    @property
    def right(self) -> bool:
        return self.similarity > self.best_other


def scores(encoder: Encoder) -> Iterator[Score]:
    """One score a pair, as they are computed."""
    candidates = np.stack([encoder.encode(paraphrase) for _, paraphrase in PARAPHRASES])
    for number, (sentence, _) in enumerate(PARAPHRASES):
        cosines = candidates @ encoder.encode(sentence)
        yield Score(sentence, float(cosines[number]), float(np.delete(cosines, number).max()))


def summary(scored: list[Score]) -> dict[str, float]:
    """The metrics of a model."""
    return {
        "accuracy": sum(score.right for score in scored) / len(scored),
        "similarity": sum(score.similarity for score in scored) / len(scored),
        "margin": min(score.similarity - score.best_other for score in scored),
    }
