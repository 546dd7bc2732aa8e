"""Compare on the wire: what differs between versions and builds, exactly."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save
from server.wire import LIMIT, Wire

from regsvc.client.profiling import profile
from regsvc.content.profile import to_json
from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import compare_pb2 as pb
from regsvc.v1 import compare_pb2_grpc, dataset_pb2_grpc
from regsvc.v1 import dataset_pb2 as dat
from regsvc.v1 import record_pb2 as rec
from regsvc.v1 import registry_pb2 as reg

NESTED = b'{"a":' * 50_000


def compare(wire: Wire, *names: str, **fields: object) -> pb.CompareResponse:
    """Compare."""
    stub = compare_pb2_grpc.CompareServiceStub(wire.channel)
    return stub.Compare(pb.CompareRequest(names=names, **fields), timeout=LIMIT)  # type: ignore[arg-type]


def metadata(**fields: object) -> reg.VersionMetadata:
    """VersionMetadata with typed params."""
    params = fields.pop("params", {})
    kinds = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
    values = {key: reg.ParamValue(**{kinds[type(value)]: value}) for key, value in params.items()}  # type: ignore[attr-defined]
    return reg.VersionMetadata(params=values, **fields)  # type: ignore[arg-type]


def test_params_differ_by_type_too_and_the_better_metric_is_marked(wire: Wire) -> None:
    first = wire.push(
        "compare/facts",
        {"a": b"1"},
        metadata=metadata(
            params={"same": 1, "type": 1, "gone": "x"},
            metrics={"f1": 0.7, "loss": 0.2, "odd": 1.0, "same": 3.0},
            tags={"stage": "eval"},
        ),
    )
    second = wire.push(
        "compare/facts",
        {"a": b"1"},
        metadata=metadata(
            params={"same": 1, "type": True}, metrics={"f1": 0.8, "loss": 0.3, "odd": 2.0, "same": 3.0}
        ),
    )

    found = compare(wire, first.name, second.name)

    assert [row.key for row in found.params] == ["gone", "type"]
    assert found.params[0].values[0].value.string_value == "x"
    assert not found.params[0].values[1].HasField("value")
    best = {row.key: [cell.best for cell in row.values] for row in found.metrics}
    assert best == {"f1": [False, True], "loss": [True, False], "odd": [False, False]}
    assert [(row.section, row.key, list(row.values)) for row in found.facts] == [
        ("tags", "stage", ["eval", ""])
    ]
    whole = compare(wire, first.name, second.name, include_same=True)
    assert [row.key for row in whole.params] == ["gone", "same", "type"]
    assert {row.key for row in whole.metrics} == {"f1", "loss", "odd", "same"}


def test_records_are_compared_field_by_field(wire: Wire) -> None:
    def record(**fields: object) -> rec.Record:
        return rec.Record(**fields)  # type: ignore[arg-type]

    first = wire.push(
        "compare/records",
        {"a": b"1"},
        record=record(
            framework="pytorch",
            code=rec.Code(commit="a" * 40),
            environment=rec.Environment(
                packages=[rec.Package(name="torch", version="2.4"), rec.Package(name="same", version="1")]
            ),
            image=rec.ContainerImage(reference="x:1"),
            card="one",
        ),
    )
    second = wire.push(
        "compare/records",
        {"a": b"1"},
        record=record(
            framework="pytorch",
            code=rec.Code(commit="b" * 40),
            environment=rec.Environment(
                packages=[rec.Package(name="torch", version="2.5"), rec.Package(name="same", version="1")]
            ),
            card="two",
            parents=[rec.Parent(relation=rec.PARENT_RELATION_FINE_TUNED, version=first.name)],
        ),
    )

    found = compare(wire, first.name, second.name)

    facts = {(row.section, row.key): list(row.values) for row in found.facts}
    assert set(facts) == {("model", "parents"), ("model", "card"), ("code", "commit"), ("image", "reference")}
    assert facts["code", "commit"] == ["a" * 40, "b" * 40]
    assert facts["image", "reference"] == ["x:1", ""]
    assert facts["model", "parents"] == ["", "fine-tuned compare/records:1"]
    assert [(row.key, list(row.values)) for row in found.packages] == [("torch", ["2.4", "2.5"])]


def test_files_and_shared_bytes_are_counted_against_the_first(wire: Wire) -> None:
    common = bytes(range(256)) * 400
    first = wire.push("compare/files", {"a": b"1", "gone": b"2", "same": common})
    second = wire.push("compare/files", {"a": b"22", "new": b"3", "same": common})
    third = wire.push("compare/files", {"a": b"1", "gone": b"2", "same": common})

    found = compare(wire, first.name, second.name, third.name)

    base, other, equal = found.subjects
    assert (base.files_added, base.files_removed, base.files_changed) == (0, 0, 0)
    assert (other.files_added, other.files_removed, other.files_changed) == (1, 1, 1)
    assert (equal.files_added, equal.files_removed, equal.files_changed) == (0, 0, 0)
    assert other.shared_bytes == len(common)
    assert equal.shared_bytes == equal.size
    assert {row.path: [cell.size for cell in row.cells] for row in found.files} == {
        "a": [1, 2, 1],
        "gone": [1, 0, 1],
        "new": [0, 1, 0],
    }
    assert [cell.present for cell in found.files[1].cells] == [True, False, True]


def test_the_share_of_changed_elements_is_exact(wire: Wire) -> None:
    rng = np.random.default_rng(1)
    before = {
        "frozen": rng.standard_normal((300, 300), dtype=np.float32),
        "few": rng.standard_normal((1000, 1000), dtype=np.float32),
        "all": rng.standard_normal((64, 64)).astype(np.float16),
        "gone": np.zeros(3, np.int64),
        "shape": np.zeros((2, 3), np.float32),
        "moved": rng.standard_normal((700, 700), dtype=np.float32),
    }
    after = {key: value.copy() for key, value in before.items() if key != "gone"}
    after["few"].reshape(-1)[[5, 400_000, 999_999]] += 1
    after["all"] += 1
    after["shape"] = np.zeros((3, 2), np.float32)
    after["aaa_new"] = np.ones(1000, np.uint8)

    first = wire.push("compare/tensors", {"model.safetensors": save(before), "notes.txt": b"x"})
    second = wire.push("compare/tensors", {"other.safetensors": save(after), "notes.txt": b"x"})
    found = compare(wire, first.name, second.name)

    rows = {row.name: row.cells[1] for row in found.tensors}
    assert set(rows) == {"few", "all", "gone", "shape", "aaa_new"}, "moved and frozen are the same bytes"
    assert rows["few"].changed == pytest.approx(3 / 1_000_000, abs=1e-12)
    assert rows["all"].changed == 1
    assert not rows["gone"].present
    assert not rows["shape"].HasField("changed")
    assert list(rows["shape"].shape) == [3, 2]
    assert (rows["few"].dtype, rows["few"].file, rows["few"].estimated) == ("F32", "other.safetensors", False)
    subject = found.subjects[1]
    assert (subject.tensors_added, subject.tensors_removed, subject.tensors_changed) == (1, 1, 3)
    assert not compare(wire, first.name, second.name, skip_tensors=True).tensors


def test_a_file_that_is_no_tensor_file_is_noted_and_the_rest_compared(wire: Wire) -> None:
    sound = save({"w": np.ones(4, np.float32)})
    first = wire.push("compare/unsound", {"a.safetensors": b"no header", "b.safetensors": sound})
    second = wire.push(
        "compare/unsound", {"a.safetensors": b"", "b.safetensors": save({"w": np.zeros(4, np.float32)})}
    )

    found = compare(wire, first.name, second.name)

    assert list(found.notes) == ["the tensors of 'a.safetensors' cannot be read"]
    assert [row.name for row in found.tensors] == ["w"]


def test_builds_are_compared_with_versions_and_step_by_step(wire: Wire) -> None:
    version = wire.push("compare/builds", {"a": b"1"}, metadata=metadata(metrics={"f1": 0.5}))
    build = wire.create_build("compare/builds")
    step = wire.builds.StartStep(bld.StartStepRequest(build=build, step="train"), timeout=LIMIT).step
    wire.builds.FinishStep(
        bld.FinishStepRequest(build=build, number=step.number, state=bld.STEP_STATE_FAILED), timeout=LIMIT
    )
    points = [bld.MetricPoint(key="f1", value=0.9)]
    wire.builds.LogMetrics(bld.LogMetricsRequest(build=build, points=points), timeout=LIMIT)
    made = wire.push("compare/builds", {"a": b"1"}, build=build)
    wire.finish(build)

    found = compare(wire, version.name, build, made.name)

    assert [subject.name for subject in found.subjects] == [version.name, build, made.name]
    assert [subject.build_state for subject in found.subjects] == ["", "SUCCEEDED", "SUCCEEDED"]
    assert [cell.best for cell in found.metrics[0].values] == [False, True, True]
    [row] = found.steps
    assert [(cell.present, cell.state) for cell in row.cells] == [
        (False, ""),
        (True, "FAILED"),
        (True, "FAILED"),
    ]


def test_comparing_what_cannot_be_compared_is_refused(wire: Wire) -> None:
    first = wire.push("compare/refused", {"a": b"1"}, aliases=["prod"])
    model = "namespaces/compare/models/refused"
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        compare(wire, first.name)
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        compare(wire, *[first.name] * 17)
    with wire.refused("INVALID_ARGUMENT", "SAME_TWICE"):
        compare(wire, first.name, f"{model}/aliases/prod")
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        compare(wire, first.name, f"{model}/versions/99")
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        compare(wire, first.name, "nonsense")


def test_many_differing_files_are_cut_and_that_is_said(wire: Wire) -> None:
    first = wire.push("compare/many", {f"d/{number}": b"1" for number in range(1_100)})
    second = wire.push("compare/many", {"x": b"1"})
    found = compare(wire, first.name, second.name)
    assert len(found.files) == 1_000
    assert found.subjects[1].files_removed == 1_100
    assert any("1000 files" in note for note in found.notes)


def test_damaged_bytes_are_told(wire: Wire, tmp_path: Path) -> None:
    """Only those that have to be read: equal chunks are not looked at."""
    rng = np.random.default_rng(2)
    weights = {"w": rng.standard_normal(300_000, dtype=np.float32)}
    first = wire.push("compare/damaged", {"m.safetensors": save(weights)})
    weights["w"][0] += 1
    second = wire.push("compare/damaged", {"m.safetensors": save(weights)})
    packs = sorted((wire.server.data / "packs").rglob("*.pack"), key=lambda path: path.stat().st_mtime_ns)
    data = bytearray(packs[-1].read_bytes())
    data[len(data) // 3] ^= 0xFF
    packs[-1].write_bytes(bytes(data))
    with wire.refused("DATA_LOSS", "CHUNK_DAMAGED"):
        compare(wire, first.name, second.name)


def dataset(wire: Wire, name: str, **columns: list[float]) -> str:
    """A registered dataset with the profile of a table."""
    found, digest = profile(pl.DataFrame(columns))
    stub = dataset_pb2_grpc.DatasetServiceStub(wire.channel)
    request = dat.RegisterDatasetRequest(
        parent=f"namespaces/compare/datasets/{name}", digest=digest.hex(), profile=to_json(found).decode()
    )
    return str(stub.RegisterDataset(request, timeout=LIMIT).dataset.name)


def used(*uses: tuple[str, str]) -> rec.Record:
    """A record that names datasets by split."""
    return rec.Record(datasets=[rec.DatasetUse(dataset=name, split=split) for name, split in uses])


def test_datasets_stand_beside_each_other_by_split_with_their_drift(wire: Wire) -> None:
    rng = np.random.default_rng(5)
    even = list(rng.normal(0, 1, 2_000))
    january = dataset(wire, "january", amount=even, steady=even, gone=even)
    february = dataset(wire, "february", amount=list(rng.normal(2, 1, 3_000)), steady=even + even[:1000])
    first = wire.push("compare/data", {"a": b"1"}, record=used((january, "train"), (january, "test")))
    second = wire.push("compare/data", {"a": b"1"}, record=used((february, "train"), (january, "test")))
    third = wire.push("compare/data", {"a": b"1"})

    found = compare(wire, third.name, first.name, second.name)

    by_split = {row.split: row for row in found.datasets}
    assert set(by_split) == {"train", "test"}
    nothing, before, after = by_split["train"].cells
    assert not nothing.present
    assert (before.dataset, before.row_count, len(before.drift)) == (january, 2_000, 0)
    assert (after.dataset, after.row_count, list(after.columns_removed)) == (february, 3_000, ["gone"])
    assert [each.column for each in after.drift] == ["amount", "steady"]
    assert after.drift[0].js > 0.5
    assert after.drift[0].psi > 0.25
    assert after.drift[1].js < 0.05
    assert len(after.drift[0].edges) == len(after.drift[0].before) + 1

    same = compare(wire, first.name, second.name)
    assert [row.split for row in same.datasets] == ["train"], "the test data is the same"
    assert [row.split for row in compare(wire, first.name, second.name, include_same=True).datasets] == [
        "train",
        "test",
    ]


def test_several_datasets_of_one_split_have_a_row_each(wire: Wire) -> None:
    one, two = (dataset(wire, name, x=[1.0, 2.0]) for name in ("several-a", "several-b"))
    first = wire.push("compare/several", {"a": b"1"}, record=used((one, "train"), (two, "train")))
    second = wire.push("compare/several", {"a": b"1"}, record=used((two, "train")))
    found = compare(wire, first.name, second.name, include_same=True)
    assert [[cell.dataset for cell in row.cells] for row in found.datasets] == [[one, ""], [two, two]]
    assert [row.differs for row in found.datasets] == [True, False]


def test_metrics_over_time_come_as_few_points_when_asked_for(wire: Wire) -> None:
    names = []
    for rate in (0.1, 0.2):
        build = wire.create_build("compare/curves")
        points = [bld.MetricPoint(key="loss", value=1 / (1 + rate * step), step=step) for step in range(1000)]
        wire.builds.LogMetrics(bld.LogMetricsRequest(build=build, points=points), timeout=LIMIT)
        wire.builds.LogMetrics(
            bld.LogMetricsRequest(build=build, points=[bld.MetricPoint(key="once", value=1)]), timeout=LIMIT
        )
        names.append(build)
    sealed = wire.push("compare/curves", {"a": b"1"}, metadata=metadata(metrics={"loss": 0.5}))

    found = compare(wire, *names, sealed.name, series_points=50)

    assert [row.key for row in found.series] == ["loss"], "one point is no curve"
    one, two, none = found.series[0].curves
    assert len(one.steps) == len(one.values) == 50
    assert (one.steps[0], one.steps[-1]) == (0, 999)
    assert list(one.steps) == sorted(one.steps)
    assert two.values[-1] == pytest.approx(1 / (1 + 0.2 * 999))
    assert not none.steps
    assert not compare(wire, *names).series
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        compare(wire, *names, series_points=1)


def test_the_largest_answer_fits_one_message(wire: Wire) -> None:
    """16 builds whose params, steps and tags are many and long; gRPC's own default refuses over 4 MiB."""
    names = []
    for number in range(16):
        params = {f"{'p' * 200}{key}": f"{number}" * 300 for key in range(900)}
        build = wire.create_build("compare/large", metadata=metadata(params=params))
        for step in range(20):
            request = bld.StartStepRequest(build=build, step=f"{number}-{step}-{'s' * 80}")
            wire.builds.StartStep(request, timeout=LIMIT)
        names.append(build)
    found = compare(wire, *names, include_same=True, series_points=500)
    assert 0 < len(found.params) < 900
    assert any("params are listed" in note for note in found.notes)
    assert found.ByteSize() < 4 << 20


def test_what_is_long_does_not_hide_what_is_short(wire: Wire) -> None:
    """Params, descriptions and signatures that fill the answer leave room for commit and Python."""
    names = []
    for number in range(1, 17):
        fill = chr(96 + number) * 16_000
        signature = rec.Signature(
            inputs=[rec.TensorSpec(name=f"{number}{'n' * 90}{place}") for place in range(8_000)]
        )
        record = rec.Record(
            signature=signature,
            code=rec.Code(commit=f"{number:040x}"),
            environment=rec.Environment(
                python=f"3.{number}", packages=[rec.Package(name="p", version=fill[:3])]
            ),
        )
        data = metadata(params={f"p{place}": fill for place in range(12)}, description=fill * 3)
        names.append(wire.push("compare/long", {"a": b"1"}, metadata=data, record=record).name)

    found = compare(wire, *names)

    assert {("code", "commit"), ("environment", "python")} <= {(row.section, row.key) for row in found.facts}
    assert [row.key for row in found.packages] == ["p"]
    assert "2 of the facts are left out, they are too long" in found.notes


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:20],
        lambda data: b"\xff" * 7 + b"\x7f" + data[8:],
        lambda data: data[:-1],
        lambda data: data.replace(b'"F32"', b'"Q99"'),
        lambda data: data.replace(b"[2,2]", b"[2,-]"),
        lambda data: data.replace(b"[2,2]", b"[9,9]"),
        lambda data: len(NESTED).to_bytes(8, "little") + NESTED,
        lambda data: b"",
    ],
    ids=["cut", "huge", "short", "type", "json", "shape", "nested", "empty"],
)
def test_a_damaged_header_is_noted_whichever_side_has_it(
    wire: Wire, damage: Callable[[bytes], bytes]
) -> None:
    whole = save({"w": np.zeros((2, 2), np.float32)})
    good = wire.push("compare/header", {"a.safetensors": whole})
    bad = wire.push("compare/header", {"a.safetensors": damage(whole)})
    for names in ((good.name, bad.name), (bad.name, good.name)):
        found = compare(wire, *names)
        assert "the tensors of 'a.safetensors' cannot be read" in found.notes
        assert [row.name for row in found.tensors] == ["w"]


def test_one_version_by_two_names_is_itself(wire: Wire) -> None:
    version = wire.push("compare/twice", {"a": b"1"}, aliases=["prod"])
    model = "namespaces/compare/models/twice"
    spellings = [
        version.name,
        f"{model}/versions/latest",
        f"{model}/aliases/prod",
        f"{model}/versions/b3:{version.digest}",
    ]
    for one, other in itertools.permutations(spellings, 2):
        with wire.refused("INVALID_ARGUMENT", "SAME_TWICE"):
            compare(wire, one, other)
