"""The figures that are promised, and what a run says of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from moving import Sample

MIB = 1 << 20
WHOLE = 4096
"""MiB of random bytes from which on figures that depend on size are judged."""
WHOLE_INDEX = 1_000_000
"""Chunks, likewise for rates."""
WHOLE_LOG = 200_000
"""Lines."""
LEFT_OUT = "left out"

Rounds = Sequence[dict[str, Sample]]


@dataclass(frozen=True)
class Figure:
    """One promise, and what came of it."""

    name: str
    asked: str
    """Such as `>= 0.40`."""
    values: tuple[float, ...] = ()
    """One a round; their median counts."""
    note: str = ""
    """How it was measured, or why it was not."""
    judged: bool = True
    """Not where the run was too small for the figure to mean anything."""
    bound: bool = False
    """Every value has to hold, so the worst one counts."""

    @property
    def value(self) -> float | None:
        """What is compared with what is asked."""
        if not self.values:
            return None
        if not self.bound:
            return median(self.values)
        return min(self.values) if self.asked.startswith(">=") else max(self.values)

    @property
    def verdict(self) -> str:
        """pass, FAIL, or that there is none."""
        if self.value is None:
            return "not measured"
        if not self.judged:
            return "not judged"
        sign, bound = self.asked.split()
        limit = float(bound.replace(",", ""))
        return "pass" if (self.value >= limit if sign == ">=" else self.value <= limit) else "FAIL"

    def to_json(self) -> dict[str, Any]:
        """For the record."""
        return {
            "name": self.name,
            "asked": self.asked,
            "measured": self.value,
            "values": list(self.values),
            "verdict": self.verdict,
            "note": self.note,
        }


@dataclass
class Measured:
    """What a run has measured; parts that were left out are empty."""

    mib: int
    incompressible: list[dict[str, Sample]] = field(default_factory=list)
    bf16: list[dict[str, Sample]] = field(default_factory=list)
    small: list[dict[str, Sample]] = field(default_factory=list)
    shards: list[dict[str, Sample]] = field(default_factory=list)
    small_count: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    """Raw bytes by case."""
    crowd_pulls: list[dict[str, Any]] = field(default_factory=list)
    crowd_pushes: list[dict[str, Any]] = field(default_factory=list)
    ranges: list[dict[str, Any]] = field(default_factory=list)
    rates: list[dict[str, Any]] = field(default_factory=list)
    search: dict[str, Any] = field(default_factory=dict)
    build_log: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    """Why a group, or something to compare with, could not be measured."""


def figures(run: Measured) -> list[Figure]:
    """Every figure, in the order in which they are asked for."""
    whole = run.mib >= WHOLE
    parts: tuple[tuple[str, bool, Callable[[Measured], Iterator[Figure]]], ...] = (
        ("bytes", whole, _against_the_stream),
        ("bytes", whole, _against_others),
        ("bytes", whole, _again),
        ("small", whole, _small),
        ("crowd", whole, _crowd),
        ("bytes", whole, _memory),
        ("ranges", whole, _ranges),
        ("rates", any(each["index"]["chunks"] >= WHOLE_INDEX for each in run.rates), _rates),
        ("search", run.search.get("versions", 0) >= WHOLE_INDEX, _search),
        ("log", run.build_log.get("published_lines", 0) >= WHOLE_LOG, _log),
    )
    return [
        figure if figure.values else replace(figure, note=figure.note or run.absent.get(group, LEFT_OUT))
        for group, judged, make in parts
        for figure in (replace(each, judged=judged) for each in make(run))
    ]


def _against_the_stream(run: Measured) -> Iterator[Figure]:
    rounds, absent = run.incompressible, run.absent.get("mlflow", "")
    for verb, raw, rate, times, cpu in (("pull", "raw-down", 0.40, 3, 2.5), ("push", "raw-up", 0.28, 2, 3.5)):
        mlflow = "mlflow-down" if verb == "pull" else "mlflow-up"
        yield _times(f"cold {verb}, of the raw stream", f">= {rate:.2f}", rounds, raw, verb)
        if verb == "pull":
            name = "cold pull that fills a cache, of the raw stream"
            yield _times(name, f">= {rate:.2f}", rounds, raw, "pull-filling")
        yield _times(f"cold {verb}, x MLflow", f">= {times}", rounds, mlflow, verb, absent)
        yield _cpu(f"CPU of a {verb}, x the raw stream's", f"<= {cpu}", rounds, verb, raw)
        yield _cpu(f"CPU of a {verb}, x MLflow's", "<= 1", rounds, verb, mlflow, absent)


def _against_others(run: Measured) -> Iterator[Figure]:
    rounds = run.incompressible
    yield _times(
        "cold pull, of curl from nginx", ">= 0.8", rounds, "nginx", "pull", run.absent.get("nginx", "")
    )
    for verb, least in (("pull", 1.0), ("push", 0.9)):
        values = tuple(
            (run.sizes["bf16"] / two[verb].seconds) / (run.sizes["incompressible"] / one[verb].seconds)
            for one, two in zip(rounds, run.bf16, strict=False)
        )
        yield Figure(f"cold {verb} of BF16 weights, of incompressible", f">= {least}", values)
    for verb, plain in (("push", "write-file"), ("pull", "read-file")):
        yield _times(f"plain client's {plain}, of {verb}", ">= 0.7", rounds, verb, plain)


def _again(run: Measured) -> Iterator[Figure]:
    inc, bf16 = run.incompressible, run.bf16
    yield Figure("push again, state warm, s", "<= 0.3", _all(inc, lambda each: each["push-warm"].seconds))
    yield _times("push again, no state, x b3sum of one thread", "<= 1.2", inc, "push-unknown", "hash")
    for verb, most in (("push", 0.4), ("pull", 0.3)):
        name = f"{verb}-changed"
        yield Figure(
            f"{verb} after 5 % changed, % of what the cold one moved",
            "<= 5.5",
            _all(
                bf16,
                lambda each, name=name, verb=verb: 100 * (each[name].moved or 0) / (each[verb].moved or 1),
            ),
        )
        note = ""
        if verb == "pull" and bf16:
            note = f"cached bytes by {bf16[-1][name].links or 'copy'}"
        changed = _times(f"{verb} after 5 % changed, of the cold {verb}", f"<= {most}", bf16, name, verb)
        yield replace(changed, note=note)


def _small(run: Measured) -> Iterator[Figure]:
    yield Figure(
        "warm pull of 40 files, hardlinked, ms",
        "<= 100",
        _all(run.shards, lambda each: 1000 * each["pull-linked"].seconds),
    )
    for verb, least in (("push", "3,000"), ("pull", "5,000")):
        yield Figure(
            f"{verb} of 4 KiB files, files/s",
            f">= {least}",
            _all(run.small, lambda each, verb=verb: run.small_count / each[verb].seconds),
            f"{run.small_count:,} files" if run.small else "",
        )


def _crowd(run: Measured) -> Iterator[Figure]:
    pulls, pushes = run.crowd_pulls, run.crowd_pushes
    note = f"{pulls[0]['mib']} MiB each" if pulls else ""
    sums = tuple(each["sum"] / each["one"] for each in pulls)
    yield Figure("16 clients pull, sum of one's rate", ">= 0.9", sums, note)
    yield _each("16 clients pull, slowest, of its share", ">= 0.5", pulls, "slowest_share", note=note)
    yield _each("16 clients pull, server MiB", "<= 400", pulls, "server_peak", MIB, note, bound=True)
    note = f"{pushes[0]['mib']} MiB each" if pushes else ""
    yield _each("16 clients push, server MiB", "<= 512", pushes, "server_peak", MIB, note, bound=True)
    yield _each("16 clients push, versions intact after a kill", ">= 16", pushes[-1:], "read_back", note=note)


def _memory(run: Measured) -> Iterator[Figure]:
    peaks = [
        each.client_peak or 0
        for rounds in (run.incompressible, run.bf16, run.small, run.shards)
        for samples in rounds
        for name, each in samples.items()
        if name.startswith(("push", "pull"))
    ]
    peaks += [each["client_peak"] for each in (*run.crowd_pulls, *run.crowd_pushes)]
    largest = (max(peaks) / MIB,) if peaks else ()
    yield Figure("any client, largest memory, MiB", "<= 256", largest, f"of {len(peaks)}" if peaks else "")


def _ranges(run: Measured) -> Iterator[Figure]:
    rounds = run.ranges
    note = f"in {rounds[0]['file_bytes'] / MIB:,.0f} MiB" if rounds else ""
    yield _each("64 KiB by ReadFile, first byte, ms p50", "<= 10", rounds, "read_file_ms", note=note)
    yield _each("64 KiB by client.open, ms p50", "<= 10", rounds, "open_ms", note=note)
    yield _each("tensor of 1 MiB by client.tensors, ms p50", "<= 20", rounds, "tensor_ms", note=note)


def _rates(run: Measured) -> Iterator[Figure]:
    index = [each["index"] for each in run.rates]
    note = f"{index[0]['chunks']:,} chunks, pinned" if index else ""
    yield _each("FindMissingChunks of 8,192, ms", "<= 150", index, "all_present_ms", note=note)
    yield _each("server start with that index, s", "<= 1", index, "start_seconds", note=note)
    followed = [each["follow"] for each in run.rates]
    yield _each("100 tails x 1,000 lines/s, ms p99", "<= 150", followed, "p99_ms")
    idle = [each["idle"] for each in run.rates]
    note = f"{idle[0]['tails']:,} tails" if idle else ""
    yield _each("1,000 idle tails, MiB more", "<= 150", idle, "more_bytes", MIB, note)
    points = [each["points"] for each in run.rates]
    yield _each("metric points/s of one publisher", ">= 20,000", points, "per_second")
    for method in run.rates[0]["calls"] if run.rates else ("GetVersion", "small writes"):
        asked = ">= 1,200" if method == "GetVersion" else ">= 500"
        calls = [each["calls"][method] for each in run.rates]
        yield _each(f"{method} of 16 callers, calls/s", asked, calls, "per_second")


def _search(run: Measured) -> Iterator[Figure]:
    found = run.search
    note = f"of {found['versions']:,} versions" if found else ""
    for name, times in found.get("selective_ms", {"": {}}).items():
        values = (times["p50"],) if times else ()
        yield Figure(f"selective search by {name}, ms p50".replace(" by ,", ","), "<= 50", values, note)
    for name, times in found.get("broad_ms", {"": {}}).items():
        values = (times["p50"],) if times else ()
        yield Figure(f"page of 100, {name}, ms p50".replace(", ,", ","), "<= 100", values, note)
    for name, pushes in (("commit among them", "push_ms"), ("commit when leaves are full", "push_packed_ms")):
        took = found.get(pushes)
        slower = (took["full"]["p50"] / took["empty"]["p50"],) if took else ()
        yield Figure(f"{name}, x an empty registry's", "<= 2", slower, note)


def _log(run: Measured) -> Iterator[Figure]:
    found = tuple(run.build_log.get("lines_per_second", ()))
    yield Figure("log lines/s of one publisher", ">= 50,000", found)


def _each(
    name: str,
    asked: str,
    rounds: Sequence[dict[str, Any]],
    key: str,
    unit: float = 1,
    note: str = "",
    *,
    bound: bool = False,
) -> Figure:
    return Figure(name, asked, tuple(each[key] / unit for each in rounds), note, bound=bound)


def _times(name: str, asked: str, rounds: Rounds, of: str, to: str, absent: str = "") -> Figure:
    """Seconds of one operation by those of another, within each round."""
    if not rounds or of not in rounds[0] or to not in rounds[0]:
        return Figure(name, asked, note=absent)
    return Figure(name, asked, _all(rounds, lambda each: each[of].seconds / each[to].seconds))


def _cpu(name: str, asked: str, rounds: Rounds, of: str, to: str, absent: str = "") -> Figure:
    """Processor seconds of one operation by those of another, within each round."""
    if not rounds or to not in rounds[0]:
        return Figure(name, asked, note=absent)
    return Figure(name, asked, _all(rounds, lambda each: each[of].cpu / each[to].cpu))


def _all(rounds: Rounds, value: Callable[[dict[str, Sample]], float]) -> tuple[float, ...]:
    return tuple(value(each) for each in rounds)
