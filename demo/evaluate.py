"""What the demo measures of the model: does a sentence find its paraphrase among all the others?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars

from demo.minilm import Encoder

Pairs = Sequence[tuple[str, str]]

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

CONTRACTS = (
    (
        "The tenant shall return the keys to the landlord on the last day of the rental period at the latest.",
        "No later than when the lease ends, whoever rents the flat has to hand the keys back to its owner.",
    ),
    (
        "Either party may terminate this agreement in writing with a notice period of three months.",
        "The contract can be ended by both sides by a letter, ninety days in advance.",
    ),
    (
        "The seller is liable for defects of the goods for a period of two years from the date of delivery.",
        "For twenty-four months after the product has arrived, the vendor answers for its faults.",
    ),
    (
        "Payment is due within thirty days of receipt of the invoice without any deduction.",
        "The full amount of the bill has to be paid a month after it came, at the latest.",
    ),
    (
        "The employee is obliged to keep all trade secrets of the company confidential after leaving it.",
        "Staff who quit the firm must go on to tell nobody about its confidential business knowledge.",
    ),
    (
        "The insurance does not cover damage that the policyholder has caused intentionally.",
        "Harm done on purpose by the insured person is not paid for by the insurer.",
    ),
)
"""Pairs of another kind: longer, and of the law."""


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


def scores(encoder: Encoder, pairs: Pairs = PARAPHRASES) -> Iterator[Score]:
    """One score a pair, as they are computed."""
    candidates = np.stack([encoder.encode(paraphrase) for _, paraphrase in pairs])
    for number, (sentence, _) in enumerate(pairs):
        cosines = candidates @ encoder.encode(sentence)
        yield Score(sentence, float(cosines[number]), float(np.delete(cosines, number).max()))


def summary(scored: list[Score]) -> dict[str, float]:
    """The metrics of a model."""
    return {
        "accuracy": sum(score.right for score in scored) / len(scored),
        "similarity": sum(score.similarity for score in scored) / len(scored),
        "margin": min(score.similarity - score.best_other for score in scored),
    }


def as_table(pairs: Pairs) -> polars.DataFrame:
    """The pairs as a dataset."""
    return polars.DataFrame(
        {
            "sentence": [sentence for sentence, _ in pairs],
            "paraphrase": [paraphrase for _, paraphrase in pairs],
            "words": [len(sentence.split()) for sentence, _ in pairs],
            "kind": ["contract" if pair in CONTRACTS else "everyday" for pair in pairs],
        }
    )
