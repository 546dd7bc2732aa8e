"""The figures that are promised, and what a run says of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from moving import Sample

MIB = 1 << 20
WHOLE = 4096
"""MiB of random bytes from which on figures that depend on size are judged."""

Rounds = Sequence[dict[str, Sample]]


@dataclass(frozen=True)
class Figure:
    """One promise. `values` are one a round; their median counts."""

    name: str
    asked: str
    """Such as `>= 0.40`."""
    values: tuple[float, ...] = ()
    note: str = ""
    """Why it was not measured, or how."""
    judged: bool = True
    """Not where the run was too small for the figure to mean anything."""

    @property
    def value(self) -> float | None:
        return median(self.values) if self.values else None

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        if not self.judged:
            return "not judged"
        sign, bound = self.asked.split()[:2]
        limit = float(bound.replace(",", ""))
        return "pass" if (self.value >= limit if sign == ">=" else self.value <= limit) else "FAIL"

    def to_json(self) -> dict[str, Any]:
        """For the record."""
        return {
            "name": self.name,
            "asked": self.asked,
            "median": self.value,
            "values": list(self.values),
            "verdict": self.verdict,
            "note": self.note,
        }


@dataclass
class Measured:
    """What a run has measured; parts that were left out are empty."""

    mib: int
    incompressible: Rounds = ()
    bf16: Rounds = ()
    small: Rounds = ()
    shards: Rounds = ()
    small_count: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    """Raw bytes by case."""
    crowd: dict[str, Any] = field(default_factory=dict)
    ranges: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Any] = field(default_factory=dict)
    rates: dict[str, Any] = field(default_factory=dict)
    build_log: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    """Why something could not be measured."""


def figures(run: Measured) -> list[Figure]:
    """Every figure, in the order in which they are asked for."""
    whole = run.mib >= WHOLE
    made = [*_against_the_stream(run), *_against_others(run), *_again(run)]
    made = [
        Figure(each.name, each.asked, each.values, each.note, judged=whole or "files/s" in each.name)
        for each in made
    ]
    return [*made, *_small(run), *_crowd(run), *_memory(run), *_ranges(run), *_rates(run)]


def _against_the_stream(run: Measured) -> Iterator[Figure]:
    for verb, raw, rate, cpu in (("pull", "raw-down", 0.40, 2.5), ("push", "raw-up", 0.28, 3.5)):
        rounds = run.incompressible
        yield _ratio(f"cold {verb}, of the raw stream", f">= {rate:.2f}", rounds, raw, verb)
        yield _ratio(
            f"cold {verb}, x MLflow", f">= {3 if verb == 'pull' else 2}", rounds, _mlflow(verb), verb
        )
        yield _cpu(f"CPU of a {verb}, x the raw stream's", f"<= {cpu}", rounds, verb, raw)
        yield _cpu(f"CPU of a {verb}, x MLflow's", "<= 1", rounds, verb, _mlflow(verb))


def _against_others(run: Measured) -> Iterator[Figure]:
    yield _ratio("cold pull, of curl from nginx", ">= 0.8", run.incompressible, "nginx", "pull")
    if "s3-up" in (run.incompressible or [{}])[0]:
        yield _ratio("cold pull, x S3 by boto3", ">= 1", run.incompressible, "s3-down", "pull")
        yield _ratio("cold push, x S3 by boto3", ">= 1", run.incompressible, "s3-up", "push")
    for verb, least in (("pull", 1.0), ("push", 0.9)):
        values = tuple(
            _rate(run, "bf16", two[verb]) / _rate(run, "incompressible", one[verb])
            for one, two in zip(run.incompressible, run.bf16, strict=False)
        )
        yield Figure(f"cold {verb} of BF16 weights, of incompressible", f">= {least}", values)
    for verb, plain in (("push", "write-file"), ("pull", "read-file")):
        yield _ratio(f"plain client's {plain}, of {verb}", ">= 0.7", run.incompressible, verb, plain)


def _again(run: Measured) -> Iterator[Figure]:
    inc, bf16 = run.incompressible, run.bf16
    yield Figure("push again, state warm, s", "<= 0.3", _all(inc, lambda each: each["push-warm"].seconds))
    yield Figure(
        "push again, no state, x b3sum of one thread",
        "<= 1.2",
        _all(inc, lambda each: each["push-unknown"].seconds / each["hash"].seconds),
    )
    for verb, most in (("push", 0.4), ("pull", 0.3)):
        name, size = f"{verb}-changed", run.sizes.get("bf16", 1)
        yield Figure(
            f"{verb} after 5 % of tensors changed, % moved",
            "<= 5.5",
            _all(bf16, lambda each, name=name, size=size: 100 * (each[name].moved or 0) / size),
        )
        links = bf16[-1][name].links if bf16 else ""
        yield Figure(
            f"{verb} after 5 % changed, of the cold {verb}",
            f"<= {most}",
            _all(bf16, lambda each, name=name, verb=verb: each[name].seconds / each[verb].seconds),
            note=f"{links or 'neither reflink nor hardlink'}" if verb == "pull" else "",
        )


def _small(run: Measured) -> Iterator[Figure]:
    yield Figure(
        "warm pull of 40 files, hardlinked, ms",
        "<= 100",
        _all(run.shards, lambda each: 1000 * each["pull-linked"].seconds),
    )
    enough = run.small_count >= 10_000
    for verb, least in (("push", "3,000"), ("pull", "5,000")):
        yield Figure(
            f"{verb} of 4 KiB files, files/s",
            f">= {least}",
            _all(run.small, lambda each, verb=verb: run.small_count / each[verb].seconds),
            note=f"{run.small_count:,} files",
            judged=enough,
        )


def _crowd(run: Measured) -> Iterator[Figure]:
    crowd, judged = run.crowd, run.mib >= WHOLE
    note = f"{crowd['pull_mib']} MiB each" if crowd else "left out"
    yield Figure(
        "16 clients pull, sum of one's rate",
        ">= 0.9",
        (crowd["pull_sum"] / crowd["pull_one"],) if crowd else (),
        note,
        judged,
    )
    yield _single("16 clients pull, slowest, of its share", ">= 0.5", crowd, "pull_slowest_share", 1, note)
    yield _single("16 clients pull, server MiB", "<= 400", crowd, "pull_server_peak", MIB, note)
    note = f"{crowd['push_mib']} MiB each, read back after a kill" if crowd else "left out"
    yield _single("16 clients push, server MiB", "<= 512", crowd, "push_server_peak", MIB, note)


def _memory(run: Measured) -> Iterator[Figure]:
    peaks = [
        (each.client_peak or 0) / MIB
        for rounds in (run.incompressible, run.bf16, run.small, run.shards)
        for samples in rounds
        for name, each in samples.items()
        if name.startswith(("push", "pull"))
    ]
    yield Figure("any client, largest memory, MiB", "<= 256", (max(peaks),) if peaks else ())


def _ranges(run: Measured) -> Iterator[Figure]:
    ranges, tensors = run.ranges, run.tensors
    note = f"in {ranges['file_bytes'] / MIB:,.0f} MiB" if ranges else "left out"
    yield _single("64 KiB by ReadFile, first byte, ms p50", "<= 10", ranges, "read_file_ms", 1, note)
    yield _single("64 KiB by client.open, ms p50", "<= 10", ranges, "open_ms", 1, note)
    note = f"in {tensors['file_bytes'] / MIB:,.0f} MiB" if tensors else "left out"
    yield _single("tensor of 1 MiB by client.tensors, ms p50", "<= 20", tensors, "tensor_ms", 1, note)


def _rates(run: Measured) -> Iterator[Figure]:
    rates = run.rates
    index, calls = rates.get("index", {}), rates.get("calls", {})
    chunks = f"{index['chunks']:,} chunks, pinned" if index else ""
    yield _single("FindMissingChunks of 8,192, ms", "<= 150", index, "all_present_ms", 1, chunks)
    yield _single("server start with that index, s", "<= 1", index, "start_seconds", 1, chunks)
    log, followed, idle = run.build_log, rates.get("follow", {}), rates.get("idle", {})
    yield _single("log lines/s of one publisher", ">= 50,000", log, "lines_per_second", 1, "")
    yield _single("100 tails x 1,000 lines/s, ms p99", "<= 150", followed, "p99_ms", 1, "")
    note = f"{idle['tails']:,} tails" if idle else ""
    yield _single("1,000 idle tails, MiB more", "<= 150", idle, "more_bytes", MIB, note)
    for method, found in calls.items():
        bound = ">= 1,200" if method == "GetVersion" else ">= 500"
        yield _single(f"{method} of 16 callers, calls/s", bound, found, "per_second", 1, "")


def _single(name: str, asked: str, found: dict[str, Any], key: str, unit: float, note: str) -> Figure:
    if key not in found:
        return Figure(name, asked, note=note or "left out")
    return Figure(name, asked, (found[key] / unit,), note)


def _ratio(name: str, asked: str, rounds: Rounds, slow: str, fast: str) -> Figure:
    """How many times as fast `fast` is as `slow`, within each round."""
    if not rounds or slow not in rounds[0] or fast not in rounds[0]:
        return Figure(name, asked, note="left out")
    return Figure(name, asked, _all(rounds, lambda each: each[slow].seconds / each[fast].seconds))


def _cpu(name: str, asked: str, rounds: Rounds, of: str, to: str) -> Figure:
    if not rounds or to not in rounds[0]:
        return Figure(name, asked, note="left out")
    return Figure(name, asked, _all(rounds, lambda each: each[of].cpu / each[to].cpu))


def _mlflow(verb: str) -> str:
    return "mlflow-down" if verb == "pull" else "mlflow-up"


def _rate(run: Measured, case: str, sample: Sample) -> float:
    return run.sizes[case] / sample.seconds


def _all(rounds: Rounds, value: Callable[[dict[str, Sample]], float]) -> tuple[float, ...]:
    return tuple(value(each) for each in rounds)
