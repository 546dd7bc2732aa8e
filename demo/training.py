"""What the demo's template runs each night: `python -m demo.training tune ...`, then `... evaluate ...`.

A runner executes it in a work folder that has this package and, in `base`, the model that is to be tuned.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import regsvc
from demo.evaluate import PARAPHRASES, scores, summary
from demo.minilm import Encoder, tune_layer


def tune(base: Path, target: Path) -> None:
    layer, noise = int(os.environ["REGSVC_PARAM_LAYER"]), float(os.environ["REGSVC_PARAM_NOISE"])
    changed = tune_layer(base, target, layer, noise)
    print(f"layer {layer} changed by {noise:g} of its spread: {changed:,} bytes")


def evaluate(folder: Path) -> None:
    measured = summary(list(scores(Encoder(folder), PARAPHRASES)))
    regsvc.current_build().log_metrics(measured)
    print(" ".join(f"{key} {value:.3f}" for key, value in measured.items()))


if __name__ == "__main__":
    if sys.argv[1] == "tune":
        tune(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        evaluate(Path(sys.argv[2]))
