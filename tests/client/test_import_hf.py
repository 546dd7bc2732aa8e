"""Importing what Hugging Face's libraries keep: every layout, twice, broken, hostile."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import hf_folders as hf
import pytest
from huggingface_hub import EvalResult, scan_cache_dir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Server

import regsvc
from regsvc.client.importing.hf import ImportReport, import_hf, model_of
from regsvc.client.importing.hf_card import Facts, read_facts
from regsvc.client.importing.hf_files import ModelFile
from regsvc.client.importing.hf_front_matter import split
from regsvc.client.params import check_metric, check_tags
from regsvc.content.record import Parent, Record, Relation
from regsvc.errors import InvalidArgument, NameInvalid, NotFound
from regsvc.service.limits import Limits
from regsvc.service.recording import check_record

A, B, C = hf.COMMITS[:3]
WEIGHTS = os.urandom(300_000)
FILES = {
    "README.md": hf.card(),
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": WEIGHTS,
    "onnx/model.onnx": b"onnx" * 100,
}


@pytest.fixture
def client(shared_server: Server) -> Iterator[regsvc.Client]:
    with regsvc.connect(shared_server.endpoint) as made:
        yield made


@pytest.fixture
def org() -> str:
    """An organisation of each test's own."""
    return f"Org-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    (tmp_path / "hub").mkdir()
    return tmp_path / "hub"


def outcomes(report: ImportReport) -> list[tuple[str, str]]:
    return [(each.revision, each.outcome) for each in report.snapshots]


def reasons(report: ImportReport) -> str:
    return "\n".join(each.reason for each in report.snapshots)


def skipped(report: ImportReport) -> dict[str, str]:
    return {each.name: each.reason for each in report.skipped}


def pulled(client: regsvc.Client, ref: str, folder: Path) -> dict[str, bytes]:
    client.pull(ref, folder)
    return hf.contents(folder)


def versions(client: regsvc.Client, model: str) -> int:
    return len(list(client.versions(model)))


# ---- layouts


def test_a_cache_becomes_models_versions_and_aliases(
    client: regsvc.Client, cache: Path, tmp_path: Path, org: str
) -> None:
    newer = {**FILES, "model.safetensors": WEIGHTS[:-1] + b"!"}
    hf.snapshot(cache, f"{org}/My_Model", A, FILES, ["main", "v1.0", "refs/pr/1", "V2"], time=1_000)
    hf.snapshot(cache, f"{org}/My_Model", B, newer, ["dev"], time=2_000)
    hf.snapshot(cache, f"{org}/My_Model", C, {"config.json": b"{}"}, time=1_500)
    hf.snapshot(cache, f"{org}/other", A, {"config.json": b"1"}, ["main"])
    hf.snapshot(cache, f"{org}/data", A, {"x.csv": b"1"}, ["main"], repo_type="dataset")
    hf.snapshot(cache, f"{org}/app", A, {"app.py": b"1"}, repo_type="space")
    assert not scan_cache_dir(cache).warnings

    report = import_hf(client, cache)

    model = f"{org.lower()}/my_model"
    assert [each.revision for each in report.snapshots if each.model == model] == [C, B, A]
    assert {each.outcome for each in report.snapshots} == {"imported"}
    by_number = {version.number: version for version in client.versions(model)}
    assert [by_number[number].tags["hf.revision"] for number in (1, 2, 3)] == [C, B, A]
    assert {version.tags["hf.repo"] for version in by_number.values()} == {f"{org}/My_Model"}
    assert [set(by_number[number].aliases) for number in (1, 2, 3)] == [set(), {"dev"}, {"main", "v1.0"}]
    assert pulled(client, f"{model}@main", tmp_path / "a") == FILES
    assert pulled(client, f"{model}@dev", tmp_path / "b") == newer
    assert pulled(client, f"{org.lower()}/other", tmp_path / "c") == {"config.json": b"1"}
    said = skipped(report)
    assert "dataset" in said[f"datasets--{org}--data"]
    assert "space" in said[f"spaces--{org}--app"]
    assert {f"{org}/My_Model@refs/pr/1", f"{org}/My_Model@V2"} <= set(said)
    assert [each.name for each in client.models(org.lower())] == [model, f"{org.lower()}/other"]


@pytest.mark.parametrize("part", ["home", "root", "repository", "snapshot", "link"])
def test_any_part_of_a_cache_may_be_named(
    client: regsvc.Client, cache: Path, tmp_path: Path, org: str, part: str
) -> None:
    folder = hf.snapshot(cache, f"{org}/m", A, FILES, ["main"])
    (tmp_path / "link").symlink_to(folder)
    path = {
        "home": tmp_path,
        "root": cache,
        "repository": hf.repository(cache, f"{org}/m"),
        "snapshot": folder,
        "link": tmp_path / "link",
    }[part]
    report = import_hf(client, path)
    assert outcomes(report) == [(A, "imported")]
    assert pulled(client, f"{org.lower()}/m@main", tmp_path / "out") == FILES


def test_one_snapshot_is_only_that(client: regsvc.Client, cache: Path, org: str) -> None:
    folder = hf.snapshot(cache, f"{org}/m", A, FILES, ["main"])
    hf.snapshot(cache, f"{org}/m", B, {"config.json": b"{}"}, ["dev"])
    assert outcomes(import_hf(client, folder)) == [(A, "imported")]
    assert versions(client, f"{org.lower()}/m") == 1


def test_a_download_into_a_folder_leaves_what_is_the_librarys_own(
    client: regsvc.Client, tmp_path: Path, org: str
) -> None:
    folder = hf.local(tmp_path / "model", A, FILES)
    assert (folder / ".cache/huggingface/download/config.json.metadata").exists()
    report = import_hf(client, folder, model=f"{org.lower()}/m")
    assert outcomes(report) == [(A, "imported")]
    assert pulled(client, f"{org.lower()}/m", tmp_path / "out") == FILES
    assert client.version(f"{org.lower()}/m").tags["hf.revision"] == A
    assert outcomes(import_hf(client, folder, model=f"{org.lower()}/m")) == [(A, "present")]


def test_a_download_that_was_changed_has_no_revision(client: regsvc.Client, tmp_path: Path, org: str) -> None:
    folder = hf.local(tmp_path / "model", A, FILES)
    (folder / "config.json").write_bytes(b"{}")
    os.utime(folder / "config.json", (2e9, 2e9))
    report = import_hf(client, folder, model=f"{org.lower()}/m")
    assert outcomes(report) == [("", "imported")]
    assert "config.json" in report.snapshots[0].notes[0]
    assert "hf.revision" not in client.version(f"{org.lower()}/m").tags
    assert outcomes(import_hf(client, folder, model=f"{org.lower()}/m")) == [("", "present")]


def test_a_download_of_two_revisions_has_none(client: regsvc.Client, tmp_path: Path, org: str) -> None:
    folder = hf.local(tmp_path / "model", A, FILES)
    hf.local(folder, B, {"extra.txt": b"1"})
    report = import_hf(client, folder, model=f"{org.lower()}/m")
    assert "different revisions" in report.snapshots[0].notes[0]


def test_a_plain_folder_has_its_own_name_and_is_known_by_its_content(
    client: regsvc.Client, tmp_path: Path, org: str
) -> None:
    folder = hf.plain(tmp_path / f"{org}_Model", {**FILES, ".git/HEAD": b"ref"})
    model = f"default/{org.lower()}_model"
    assert outcomes(import_hf(client, folder)) == [("", "imported")]
    assert pulled(client, model, tmp_path / "out") == FILES
    assert outcomes(import_hf(client, folder)) == [("", "present")]
    (folder / "config.json").write_bytes(b"{}")
    assert outcomes(import_hf(client, folder)) == [("", "imported")]
    assert versions(client, model) == 2
    assert outcomes(import_hf(client, folder, revision=B)) == [(B, "imported")]


def test_files_that_repositories_share_are_followed(
    client: regsvc.Client, cache: Path, tmp_path: Path, org: str
) -> None:
    folder = hf.snapshot(cache, f"{org}/m", A, FILES, ["main"])
    hf.share(cache, f"{org}/m", folder / "model.safetensors")
    assert not scan_cache_dir(cache).warnings
    assert outcomes(import_hf(client, cache)) == [(A, "imported")]
    assert pulled(client, f"{org.lower()}/m", tmp_path / "out") == FILES


def test_what_is_no_model_is_refused(client: regsvc.Client, tmp_path: Path, cache: Path, org: str) -> None:
    with pytest.raises(InvalidArgument, match="neither a Hugging Face cache"):
        import_hf(client, hf.plain(tmp_path / "home", {"letter.txt": b"1"}))
    with pytest.raises(InvalidArgument, match="no folder"):
        import_hf(client, tmp_path / "absent")
    hf.snapshot(cache, f"{org}/data", A, {"x.csv": b"1"}, repo_type="dataset")
    with pytest.raises(InvalidArgument, match="a dataset"):
        import_hf(client, cache)


# ---- again


def test_importing_again_adds_only_what_is_new(client: regsvc.Client, cache: Path, org: str) -> None:
    model = f"{org.lower()}/m"
    hf.snapshot(cache, f"{org}/m", A, FILES, ["main", "stable"])
    import_hf(client, cache)
    again = import_hf(client, cache)
    assert outcomes(again) == [(A, "present")]
    assert again.snapshots[0].reference == f"{model}:1"
    assert again.snapshots[0].bytes_sent == 0
    hf.snapshot(cache, f"{org}/m", B, {**FILES, "config.json": b"{}"}, ["main"])
    assert outcomes(import_hf(client, cache)) == [(A, "present"), (B, "imported")]
    aliases = {each.alias: each.reference for each in client.model(model).aliases}
    assert aliases == {"main": f"{model}:2", "stable": f"{model}:1"}
    assert versions(client, model) == 2


def test_an_alias_follows_a_ref_that_goes_back(client: regsvc.Client, cache: Path, org: str) -> None:
    model = f"{org.lower()}/m"
    hf.snapshot(cache, f"{org}/m", A, FILES)
    hf.snapshot(cache, f"{org}/m", B, {"config.json": b"{}"}, ["main"])
    import_hf(client, cache)
    hf.snapshot(cache, f"{org}/m", A, {}, ["main"])
    dry = import_hf(client, cache, dry_run=True)
    assert [each.aliases for each in dry.snapshots if each.revision == A] == [("main",)]
    assert client.version(f"{model}@main").tags["hf.revision"] == B
    import_hf(client, cache)
    assert client.version(f"{model}@main").tags["hf.revision"] == A
    assert versions(client, model) == 2


def test_a_revision_of_which_more_was_downloaded_is_another_version(
    client: regsvc.Client, cache: Path, tmp_path: Path, org: str
) -> None:
    hf.snapshot(cache, f"{org}/m", A, {"config.json": b"{}"}, ["main"])
    import_hf(client, cache)
    hf.snapshot(cache, f"{org}/m", A, {"model.safetensors": WEIGHTS})
    assert outcomes(import_hf(client, cache)) == [(A, "imported")]
    assert outcomes(import_hf(client, cache)) == [(A, "present")]
    found = pulled(client, f"{org.lower()}/m@main", tmp_path / "out")
    assert found == {"config.json": b"{}", "model.safetensors": WEIGHTS}


def test_a_dry_run_writes_nothing(client: regsvc.Client, cache: Path, org: str) -> None:
    hf.snapshot(cache, f"{org}/m", A, FILES, ["main"])
    report = import_hf(client, cache, dry_run=True)
    assert outcomes(report) == [(A, "planned")]
    assert (report.snapshots[0].files, report.snapshots[0].aliases) == (len(FILES), ("main",))
    with pytest.raises(NotFound):
        client.model(f"{org.lower()}/m")


def test_it_tells_how_far_it_is(client: regsvc.Client, cache: Path, org: str) -> None:
    hf.snapshot(cache, f"{org}/m", A, FILES)
    told: list[tuple[str, int]] = []
    import_hf(client, cache, progress=lambda title, now: told.append((title, now.done)))
    assert told[-1] == (f"{org}/m@{A[:12]}", sum(map(len, FILES.values())))


# ---- names


def test_ids_of_repositories() -> None:
    assert str(model_of("Qwen/Qwen2.5-7B")) == "qwen/qwen2.5-7b"
    assert str(model_of("gpt2")) == "default/gpt2"
    assert str(model_of("_Org_/m.")) == "org/m"
    assert str(model_of("a/" + "x" * 62 + "-yy")) == "a/" + "x" * 62
    assert str(model_of("org/m", "team")) == "team/m"
    with pytest.raises(NameInvalid):
        model_of("org/___")


def test_where_it_goes_may_be_chosen(client: regsvc.Client, cache: Path, org: str) -> None:
    hf.snapshot(cache, f"{org}/m", A, FILES)
    low = org.lower()
    assert import_hf(client, cache, namespace=f"{low}x").snapshots[0].model == f"{low}x/m"
    assert import_hf(client, cache, model=f"{low}/named").snapshots[0].model == f"{low}/named"
    both = import_hf(client, cache, model="named", namespace=f"{low}y")
    assert both.snapshots[0].model == f"{low}y/named"
    for wrong in ({"namespace": "No!"}, {"model": "a/b/c"}, {"model": "a/b", "namespace": "c"}):
        with pytest.raises(InvalidArgument):
            import_hf(client, cache, **wrong)
    hf.snapshot(cache, f"{org}/n", A, FILES)
    with pytest.raises(InvalidArgument, match="one name for all"):
        import_hf(client, cache, model=f"{low}/named")


def test_repositories_whose_names_clash_are_not_mixed(
    client: regsvc.Client, cache: Path, tmp_path: Path, org: str
) -> None:
    hf.snapshot(cache, f"{org}/Model", A, FILES, ["main"])
    hf.snapshot(cache, f"{org}/model", B, FILES, ["main"])
    report = import_hf(client, cache)
    assert outcomes(report) == [(A, "imported"), (B, "failed")]
    assert "--model" in reasons(report)
    alone = tmp_path / "alone"
    hf.snapshot(alone, f"{org}/model", B, FILES, ["main"])
    report = import_hf(client, alone)
    assert outcomes(report) == [(B, "failed")]
    assert "not from" in reasons(report)
    assert outcomes(import_hf(client, alone, model=f"{org.lower()}/model-b")) == [(B, "imported")]
    assert versions(client, f"{org.lower()}/model") == 1


def test_a_revision_may_be_chosen(client: regsvc.Client, cache: Path, org: str) -> None:
    hf.snapshot(cache, f"{org}/m", A, FILES, ["main"])
    hf.snapshot(cache, f"{org}/m", B, {"config.json": b"{}"}, ["v1"])
    hf.snapshot(cache, f"{org}/n", C, {"config.json": b"{}"})
    for revision in ("v1", B, B[:8]):
        assert [each.revision for each in import_hf(client, cache, revision=revision).snapshots] == [B]
    with pytest.raises(NotFound, match="no revision 'v9'"):
        import_hf(client, cache, revision="v9")


# ---- broken and hostile


def test_a_snapshot_that_is_not_whole_is_refused_and_others_go_on(
    client: regsvc.Client, cache: Path, org: str
) -> None:
    gone = hf.snapshot(cache, f"{org}/dangling", A, FILES)
    (gone / "model.safetensors").resolve().unlink()
    shards = {f"model-0000{n}-of-00002.safetensors": os.urandom(100) for n in (1, 2)}
    index = b'{"weight_map": {"a": "%s", "b": "%s"}}' % tuple(name.encode() for name in shards)
    missing = {"model.safetensors.index.json": index, **dict(list(shards.items())[:1])}
    hf.snapshot(cache, f"{org}/shards", A, missing)
    hf.snapshot(cache, f"{org}/whole-shards", A, {"model.safetensors.index.json": index, **shards})
    hf.snapshot(
        cache, f"{org}/lfs", A, {"m.bin": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"}
    )
    (hf.repository(cache, f"{org}/empty") / "snapshots" / A).mkdir(parents=True)
    short = hf.snapshot(cache, f"{org}/short", A, FILES)
    hf.listing(hf.repository(cache, f"{org}/short"), A, FILES)
    (short / "model.safetensors").resolve().write_bytes(WEIGHTS[:-1])
    hf.snapshot(cache, f"{org}/sound", A, FILES, ["main"])

    report = import_hf(client, cache)

    found = {each.repo.split("/")[1]: each for each in report.snapshots}
    for name, why in {
        "dangling": "leads nowhere",
        "shards": "is missing",
        "lfs": "Git LFS",
        "empty": "no files",
        "short": "299999 bytes, but 300000",
    }.items():
        assert found[name].outcome == "failed"
        assert why in found[name].reason
    assert {found[name].outcome for name in ("sound", "whole-shards")} == {"imported"}
    assert report.failed == 5
    (gone / "model.safetensors").unlink()
    hf.snapshot(cache, f"{org}/dangling", A, FILES)  # downloaded again
    assert import_hf(client, hf.repository(cache, f"{org}/dangling")).failed == 0


def test_a_download_under_way_is_refused_for_its_revision(
    client: regsvc.Client, cache: Path, org: str
) -> None:
    whole = {"config.json": b"1", "model.safetensors": WEIGHTS}
    hf.snapshot(cache, f"{org}/m", A, {"config.json": b"1"}, ["main"])
    hf.snapshot(cache, f"{org}/m", B, {"config.json": b"{}"})
    storage = hf.repository(cache, f"{org}/m")
    etag = hf.listing(storage, A, whole)["model.safetensors"]
    partial = storage / "blobs" / f"{etag}.1a2b3c4d.incomplete"
    partial.write_bytes(WEIGHTS[:1000])
    report = import_hf(client, cache)
    assert dict(outcomes(report)) == {A: "failed", B: "failed"}  # of B nobody knows
    hf.listing(storage, B, {"config.json": b"{}"})
    report = import_hf(client, cache)
    assert dict(outcomes(report)) == {A: "failed", B: "imported"}
    assert "'model.safetensors' has not finished" in reasons(report)
    hf.snapshot(
        cache, f"{org}/m", A, whole
    )  # the download is repeated; what is left of the first stays there
    assert dict(outcomes(import_hf(client, cache))) == {A: "imported", B: "present"}


def test_a_download_under_way_into_a_folder_is_refused(
    client: regsvc.Client, tmp_path: Path, org: str
) -> None:
    folder = hf.local(tmp_path / "model", A, FILES)
    partial = hf.partial(folder, "big.safetensors", "abcd" * 16)
    assert "not finished" in reasons(import_hf(client, folder, model=f"{org.lower()}/m"))
    partial.unlink()
    assert outcomes(import_hf(client, folder, model=f"{org.lower()}/m")) == [(A, "imported")]


def test_a_cache_without_symlinks_holds_the_files_themselves(
    client: regsvc.Client, cache: Path, tmp_path: Path, org: str
) -> None:
    folder = hf.snapshot(cache, f"{org}/m", A, FILES, ["main"])
    for path in FILES:
        (folder / path).resolve().rename(folder / "moved")
        (folder / "moved").replace(folder / path)
    assert not scan_cache_dir(cache).warnings
    assert outcomes(import_hf(client, cache)) == [(A, "imported")]
    assert pulled(client, f"{org.lower()}/m@main", tmp_path / "out") == FILES


def test_more_refs_than_a_commit_may_set(client: regsvc.Client, cache: Path, org: str) -> None:
    names = {f"v{number}" for number in range(230)}
    hf.snapshot(cache, f"{org}/m", A, {"config.json": b"{}"}, sorted(names))
    report = import_hf(client, cache)
    assert outcomes(report) == [(A, "imported")]
    assert set(report.snapshots[0].aliases) == names
    assert set(client.version(f"{org.lower()}/m").aliases) == names


def test_files_that_were_not_downloaded_are_said(client: regsvc.Client, cache: Path, org: str) -> None:
    hf.snapshot(cache, f"{org}/m", A, FILES)
    hf.listing(hf.repository(cache, f"{org}/m"), A, {**FILES, "tf_model.h5": b"1"})
    report = import_hf(client, cache)
    assert outcomes(report) == [(A, "imported")]
    assert report.snapshots[0].notes == ("1 files of the revision were not downloaded",)


def test_a_ref_without_its_snapshot_is_said(client: regsvc.Client, cache: Path, org: str) -> None:
    hf.snapshot(cache, f"{org}/m", A, FILES)
    hf.snapshot(cache, f"{org}/m", B, {}, ["main"])
    report = import_hf(client, cache)
    assert report.failed == 0
    assert "not here" in skipped(report)[f"{org}/m@main"]
    assert client.model(f"{org.lower()}/m").aliases == ()


@pytest.mark.parametrize("layout", ["snapshot", "local", "plain"])
@pytest.mark.parametrize("how", ["file", "blob", "folder", "store", "device", "pipe", "loop"])
def test_nothing_from_elsewhere_is_taken(
    client: regsvc.Client, cache: Path, tmp_path: Path, org: str, layout: str, how: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"password")
    folder = {
        "snapshot": lambda: hf.snapshot(cache, f"{org}/m", A, FILES, ["main"]),
        "local": lambda: hf.local(tmp_path / "local", A, FILES),
        "plain": lambda: hf.plain(tmp_path / "plain", FILES),
    }[layout]()
    bad = folder / "x"
    if how == "file":
        bad.symlink_to(os.path.relpath(secret, folder))
    elif how == "blob":  # a blob that is a link itself
        inside = hf.repository(cache, f"{org}/m") / "blobs" if layout == "snapshot" else folder
        inside.joinpath("f" * 64).symlink_to(secret)
        bad.symlink_to(inside / ("f" * 64))
    elif how == "folder":
        bad.symlink_to(tmp_path)
    elif how == "store":  # a store that does not say that it is one
        store = cache / "blobs" / "ab" / ("ab" * 32)
        store.parent.mkdir(parents=True)
        store.write_bytes(b"1")
        bad.symlink_to(store)
    elif how == "device":
        bad.symlink_to("/dev/zero")
    elif how == "pipe":
        os.mkfifo(bad)
    else:
        bad.symlink_to("x")
    report = import_hf(client, folder, model=f"{org.lower()}/m")
    assert report.failed == 1
    assert "'x'" in reasons(report) or "f" * 64 in reasons(report)
    with pytest.raises(NotFound):
        client.version(f"{org.lower()}/m")


def test_the_store_gives_only_what_it_keeps(client: regsvc.Client, cache: Path, org: str) -> None:
    folder = hf.snapshot(cache, f"{org}/m", A, FILES)
    hf.share(cache, f"{org}/m", folder / "model.safetensors")
    (folder / "x").symlink_to(cache / "blobs" / ".huggingface-shared-blobs")
    assert "leads out" in reasons(import_hf(client, cache))


# ---- cards


def test_a_card_as_the_library_writes_it(client: regsvc.Client, cache: Path, org: str) -> None:
    result = EvalResult(
        task_type="text-classification",
        dataset_type="glue",
        dataset_name="GLUE",
        dataset_config="mrpc",
        dataset_split="validation",
        metric_type="f1",
        metric_value=0.875,
    )
    readme = hf.card(
        "# Fraud\n\nFinds *it*.\n",
        language=["en", "no"],
        license="apache-2.0",
        library_name="sentence-transformers",
        tags=["nlp", "fraud"],
        datasets=["glue"],
        base_model="Org/Base",
        base_model_relation="quantized",
        pipeline_tag="text-classification",
        model_name="fraud",
        eval_results=[result],
    )
    config = b'{"architectures": ["BertModel"], "model_type": "bert", "torch_dtype": "bfloat16"}'
    files = {"README.md": readme, "config.json": config, "model.safetensors": WEIGHTS}
    hf.snapshot(cache, f"{org}/m", A, files)
    assert import_hf(client, cache).snapshots[0].notes == ()
    version = client.version(f"{org.lower()}/m")
    record = client.record(f"{org.lower()}/m").record
    assert record == Record(
        card="# Fraud\n\nFinds *it*.\n",
        labels=(
            "text-classification",
            "license:apache-2.0",
            "language:en",
            "language:no",
            "dataset:glue",
            "nlp",
            "fraud",
        ),
        parents=(Parent(Relation.QUANTISED, uri="hf:Org/Base"),),
        framework="sentence-transformers",
        format="safetensors",
    )
    assert version.metrics == {"text-classification/glue/mrpc/validation/f1": 0.875}
    assert version.tags == {
        "hf.repo": f"{org}/m",
        "hf.revision": A,
        "hf.architectures": "BertModel",
        "hf.model_type": "bert",
        "hf.dtype": "bfloat16",
    }
    found = client.search(
        'metrics["text-classification/glue/mrpc/validation/f1"] > 0.8 && "license:apache-2.0" in labels'
        ' && parents.exists(p, p.name == "hf:Org/Base")',
        within=f"{org.lower()}/",
    )
    assert [each.reference for each in found] == [f"{org.lower()}/m:1"]


def test_code_and_environment_of_the_importer_are_not_taken(
    client: regsvc.Client, cache: Path, org: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REGSVC_CAPTURE")
    hf.snapshot(cache, f"{org}/m", A, {"config.json": b"[]"})
    import_hf(client, cache)
    sealed = client.record(f"{org.lower()}/m")
    assert (sealed.record, sealed.attachments) == (Record(), ())


@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        ("finetune", Relation.FINE_TUNED),
        ("adapter", Relation.FINE_TUNED),
        ("quantized", Relation.QUANTISED),
        ("merge", Relation.MERGED),
        ("sibling", Relation.UNSPECIFIED),
        (None, Relation.UNSPECIFIED),
    ],
)
def test_relations_of_base_models(tmp_path: Path, relation: str | None, expected: Relation) -> None:
    fields = {"base_model": ["a/b", "https://huggingface.co/c/d", "/home/me/model", "a/b"]}
    facts = facts_of(
        tmp_path, hf.handmade("x", fields | ({"base_model_relation": relation} if relation else {}))
    )
    assert [(each.relation, each.uri) for each in facts.record.parents] == [
        (expected, "hf:a/b"),
        (expected, "hf:c/d"),
    ]
    assert any("base models" in note for note in facts.notes)
    assert any("relation" in note for note in facts.notes) == (relation == "sibling")


def test_results_that_share_a_name_go_by_another_or_are_said(tmp_path: Path) -> None:
    metrics = [
        {"type": "f1", "value": 1, "name": "F1"},
        {"type": "f1", "value": 2, "name": "macro"},
        {"type": "f1", "value": 3, "name": "macro"},
        {"type": "x", "value": "0.9"},
        {"type": "y", "value": True},
        {"type": "z", "value": float("inf")},
        {"type": "e", "value": 1e-3},
    ]
    result = {"task": {"type": "t"}, "dataset": {"name": "d"}, "metrics": metrics}
    facts = facts_of(tmp_path, hf.handmade("", {"model-index": [{"name": "m", "results": [result]}]}))
    assert facts.metrics == {"t/d/f1": 1.0, "t/d/macro": 2.0, "t/d/e": 0.001}
    assert any("4 of its results" in note for note in facts.notes)


def test_front_matter_is_read_as_the_hub_reads_it() -> None:
    readme = split("---\nlanguage: no\nversion: 2024-01-02\nn: 1e3\nk: 0.5\nempty:\n---\n\n# T\n")
    assert readme.fields == {"language": "no", "version": "2024-01-02", "n": 1000.0, "k": 0.5, "empty": None}
    assert readme.card == "# T\n"
    assert split("---\r\na: b\r\n---\r\n# T\r\n").fields == {"a": "b"}
    assert split("# T\n\n---\nnot: it\n---\n").fields == {}
    assert split("---\n# T\n").card == "---\n# T\n"


@pytest.mark.parametrize(
    "bad", ["a: [", "a: b: c", "- x", "text", "a: !!timestamp x", "a: !!int ''", "a: !!python/object:os.x {}"]
)
def test_a_card_whose_front_matter_cannot_be_read_is_kept(bad: str) -> None:
    readme = split(f"---\n{bad}\n---\n# T\n")
    assert readme.card == "# T\n"
    assert readme.fields == {}
    assert len(readme.notes) == 1


def test_a_broken_card_is_imported_and_said(client: regsvc.Client, cache: Path, org: str) -> None:
    hf.snapshot(cache, f"{org}/m", A, {"README.md": b"---\na: [\n---\n# \x00\xff T\n"})
    report = import_hf(client, cache)
    assert outcomes(report) == [(A, "imported")]
    assert "no YAML" in report.snapshots[0].notes[0]
    assert client.record(f"{org.lower()}/m").record.card == "# \ufffd\ufffd T\n"


def bomb(levels: int, *, merge: str) -> str:
    lines = ["k0: &k0 " + ("{x: 1}" if merge else "[lol]")]
    for level in range(1, levels):
        below = ", ".join([f"*k{level - 1}"] * 9)
        lines.append(f"k{level}: &k{level} " + (f"{{{merge}: [{below}]}}" if merge else f"[{below}]"))
    top = f"*k{levels - 1}"
    fields = ("tags", "language", "license", "datasets", "base_model", "model-index", "library_name")
    return "\n".join([*lines, *(f"{name}: {top}" for name in fields)])


@pytest.mark.parametrize("merge", ["", "<<", "!!merge <<"])
@pytest.mark.timeout(60)
def test_aliases_do_not_make_a_small_card_an_endless_one(tmp_path: Path, merge: str) -> None:
    facts = facts_of(tmp_path, f"---\n{bomb(30, merge=merge)}\n---\n# T\n".encode())
    assert facts.record == Record(card="# T\n")


@pytest.mark.timeout(60)
def test_results_multiplied_by_aliases_end(tmp_path: Path) -> None:
    many = ", ".join(["*a"] * 2000)
    text = f"a: &a {{type: x, value: 1}}\nm: &m [{many}]\nr: &r {{metrics: *m}}\n"
    text += f"s: &s [{', '.join(['*r'] * 2000)}]\nq: &q {{results: *s}}\n"
    text += f"model-index: [{', '.join(['*q'] * 2000)}]\n"
    assert facts_of(tmp_path, f"---\n{text}---\n".encode()).metrics == {"x": 1.0}


def test_deep_front_matter_is_said(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, b"---\na: " + b"[" * 100_000 + b"\n---\n# T\n")
    assert facts.record.card == "# T\n"
    assert len(facts.notes) == 1


@pytest.mark.timeout(120)
def test_a_huge_readme_is_a_file_like_any_other_and_its_card_is_cut(
    client: regsvc.Client, cache: Path, tmp_path: Path, org: str
) -> None:
    readme = b"---\nlicense: mit\n---\n# T\n" + "é text\n".encode() * (50 << 17)
    assert len(readme) > 50 << 20
    hf.snapshot(cache, f"{org}/m", A, {"README.md": readme})
    report = import_hf(client, cache)
    assert outcomes(report) == [(A, "imported")]
    assert len(report.snapshots[0].notes) == 2
    record = client.record(f"{org.lower()}/m").record
    assert len(record.card.encode()) <= 256 << 10
    assert record.card.endswith("README.md has all of it.*\n")
    assert record.labels == ("license:mit",)
    assert pulled(client, f"{org.lower()}/m", tmp_path / "out")["README.md"] == readme


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.text(min_size=101, max_size=120)
    | st.binary(max_size=4)
    | st.dates()
)
NAMES = st.sampled_from(
    ["type", "name", "value", "task", "dataset", "metrics", "results", "config", "split", "model-index"]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | SCALARS, inner, max_size=4)
)
FIELDS = st.sampled_from(
    [
        *("tags", "language", "license", "pipeline_tag", "library_name", "base_model", "base_model_relation"),
        *("datasets", "model-index", "metrics"),
    ]
)
RESULTS = st.fixed_dictionaries({"results": st.lists(st.dictionaries(NAMES, VALUES, max_size=4), max_size=3)})


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(FIELDS, VALUES)
    | st.fixed_dictionaries({"model-index": st.lists(RESULTS, max_size=2)})
    | VALUES
)
def test_whatever_a_card_says_it_is_read_and_the_registry_takes_it(
    tmp_path_factory: pytest.TempPathFactory, fields: object
) -> None:
    folder = tmp_path_factory.getbasetemp() / "cards"
    folder.mkdir(exist_ok=True)
    taken(facts_of(folder, hf.handmade("# T\n", fields)))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.binary(max_size=200) | st.text(alphabet="-ab:[]{}&*!<>|'\"#%\\u\n 01.", max_size=200).map(str.encode)
)
def test_whatever_a_readme_holds_it_is_read(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "readmes"
    folder.mkdir(exist_ok=True)
    for data in (text, b"---\n" + text + b"\n---\n# T\n"):
        taken(facts_of(folder, data))


def facts_of(folder: Path, readme: bytes) -> Facts:
    path = folder / "README.md"
    path.write_bytes(readme)
    return read_facts({"README.md": ModelFile("README.md", str(path), len(readme))})


def taken(facts: Facts) -> None:
    """What the server checks of a record, and the client of metrics."""
    check_record(facts.record, Limits())
    for key, value in facts.metrics.items():
        check_metric(key, value)
    check_tags(facts.tags)


def test_what_is_no_unicode_is_left_out(tmp_path: Path) -> None:
    readme = b'---\ntags: ["\\ud800", ok, "a\\tb"]\nlibrary_name: "\\udfff"\nbase_model: "\\ud800/x"\n---\n'
    facts = facts_of(tmp_path, readme)
    taken(facts)
    assert facts.record.labels == ("ok",)
    assert facts.record.framework == ""
    assert facts.record.parents == ()
