"""Request ids, names, references, aliases and pages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from server.wire import LIMIT, Wire, chunk_message, name_of, recipe

from regsvc.v1 import artifact_pb2 as art
from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import registry_pb2 as reg

Call = Callable[[Wire, str, str], Any]


def create_model(wire: Wire, request_id: str, variant: str) -> object:
    request = reg.CreateModelRequest(
        name=name_of(f"r/{request_id[:20]}"), description=variant, request_id=request_id
    )
    return wire.registry.CreateModel(request, timeout=LIMIT).model.name


def start_upload(wire: Wire, request_id: str, variant: str) -> object:
    return wire.start(f"r/{variant}", request_id=request_id)


def create_build(wire: Wire, request_id: str, variant: str) -> object:
    return wire.create_build(
        "r/build", metadata=reg.VersionMetadata(description=variant), request_id=request_id
    )


def set_alias(wire: Wire, request_id: str, variant: str) -> object:
    if not wire.registry.ListModels(reg.ListModelsRequest(parent="namespaces/alias"), timeout=LIMIT).models:
        wire.push("alias/model", {"a": b"1"})
    model = name_of("alias/model")
    request = reg.SetAliasRequest(
        name=f"{model}/aliases/{variant}", version=f"{model}/versions/1", request_id=request_id
    )
    return wire.registry.SetAlias(request, timeout=LIMIT).alias


BUILDS: dict[str, str] = {}


def start_step(wire: Wire, request_id: str, variant: str) -> object:
    build = BUILDS.setdefault(f"{wire.server.endpoint} {request_id}", "") or wire.create_build("r/steps")
    BUILDS[f"{wire.server.endpoint} {request_id}"] = build
    request = bld.StartStepRequest(build=build, step=variant, request_id=request_id)
    return wire.builds.StartStep(request, timeout=LIMIT).step.number


def log_metrics(wire: Wire, request_id: str, variant: str) -> object:
    key = f"{wire.server.endpoint} {request_id}"
    build = BUILDS[key] = BUILDS.get(key) or wire.create_build("r/metrics")
    points = [bld.MetricPoint(key=variant, value=1.0)]
    wire.builds.LogMetrics(
        bld.LogMetricsRequest(build=build, points=points, request_id=request_id), timeout=LIMIT
    )
    call = wire.builds.WatchBuild(bld.WatchBuildRequest(build=build), timeout=LIMIT)
    first = next(call)
    call.cancel()
    return len(first.metrics)


UPLOADS: dict[str, str] = {}


def commit_upload(wire: Wire, request_id: str, variant: str) -> object:
    key = f"{wire.server.endpoint} {request_id} {variant}"
    if key not in UPLOADS:
        UPLOADS[key] = wire.start(f"r/{variant}")
        wire.write_file(UPLOADS[key], "a", variant.encode())
    return wire.commit(UPLOADS[key], request_id=request_id)


@pytest.mark.parametrize(
    "call", [create_model, start_upload, create_build, set_alias, start_step, log_metrics, commit_upload]
)
def test_the_same_request_replays_and_another_is_refused(wire: Wire, call: Call) -> None:
    request_id = call.__name__.replace("_", "-")
    first = call(wire, request_id, "one")
    before = wire.registry.ListModels(reg.ListModelsRequest(parent="namespaces/-"), timeout=LIMIT)
    assert call(wire, request_id, "one") == first
    assert wire.registry.ListModels(reg.ListModelsRequest(parent="namespaces/-"), timeout=LIMIT) == before
    with wire.refused("INVALID_ARGUMENT", "REQUEST_ID_REUSED") as metadata:
        call(wire, request_id, "two")
    assert metadata["request_id"] == request_id
    with wire.refused("INVALID_ARGUMENT", "REQUEST_ID_REUSED"):
        create_model(wire, request_id, "another method")
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        call(wire, "x" * 65, "three")


def test_a_retry_is_answered_as_before_though_the_build_has_ended(wire: Wire) -> None:
    build = wire.create_build("r/ended", request_id="retry-create")
    step = bld.StartStepRequest(build=build, step="train", request_id="retry-step")
    metrics = bld.LogMetricsRequest(
        build=build, points=[bld.MetricPoint(key="loss", value=1.0)], request_id="retry-metrics"
    )
    number = wire.builds.StartStep(step, timeout=LIMIT).step.number
    wire.builds.LogMetrics(metrics, timeout=LIMIT)
    wire.finish(build)
    assert wire.builds.StartStep(step, timeout=LIMIT).step.number == number
    wire.builds.LogMetrics(metrics, timeout=LIMIT)
    assert wire.create_build("r/ended", request_id="retry-create") == build


def test_a_retried_alias_move_does_not_move_it_back(wire: Wire) -> None:
    model = name_of("r/alias")
    one, two = (wire.push("r/alias", {"a": data}).name for data in (b"1", b"2"))
    first = reg.SetAliasRequest(name=f"{model}/aliases/prod", version=one, request_id="move-one")
    wire.registry.SetAlias(first, timeout=LIMIT)
    wire.registry.SetAlias(reg.SetAliasRequest(name=first.name, version=two), timeout=LIMIT)
    wire.registry.SetAlias(first, timeout=LIMIT)
    got = wire.registry.GetAlias(reg.GetAliasRequest(name=first.name), timeout=LIMIT).alias
    assert got.version == two


@pytest.mark.parametrize("request_id", ["", "together"])
def test_concurrent_commits_of_one_upload_all_get_the_one_version(wire: Wire, request_id: str) -> None:
    model = f"r/together{len(request_id)}"
    for _ in range(3):
        upload = wire.start(model)
        wire.write_file(upload, "a", upload.encode())
        answers: list[object] = []

        def commit(upload: str = upload, answers: list[object] = answers) -> None:
            try:
                answers.append(
                    wire.commit(upload, request_id=request_id and f"{request_id} {upload[-20:]}").name
                )
            except Exception as error:  # noqa: BLE001 - shown by the assertion
                answers.append(error)

        threads = [threading.Thread(target=commit) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        assert answers == [wire.upload(upload).version] * 8
    assert wire.versions(model) == [3, 2, 1]


BAD_IDS = ["", "A", "a b", "-a", "a-", "ü", "a" * 64, "a/b", "..", ".", "a\n", "a\x00b", "%2e", "a" * 100_000]


@pytest.mark.parametrize("bad", BAD_IDS, ids=[repr(text[:8]) for text in BAD_IDS])
def test_odd_names_are_refused_everywhere(wire: Wire, bad: str) -> None:
    names = [f"namespaces/{bad}/models/m", f"namespaces/n/models/{bad}"]
    for name in names:
        calls: list[Callable[[], object]] = [
            lambda name=name: wire.registry.CreateModel(reg.CreateModelRequest(name=name), timeout=LIMIT),
            lambda name=name: wire.registry.GetModel(reg.GetModelRequest(name=name), timeout=LIMIT),
            lambda name=name: wire.registry.ListVersions(reg.ListVersionsRequest(parent=name), timeout=LIMIT),
            lambda name=name: wire.artifacts.StartUpload(art.StartUploadRequest(parent=name), timeout=LIMIT),
            lambda name=name: wire.builds.CreateBuild(bld.CreateBuildRequest(parent=name), timeout=LIMIT),
            lambda name=name: wire.builds.ListBuilds(bld.ListBuildsRequest(parent=name), timeout=LIMIT),
            lambda name=name: wire.registry.GetVersion(
                reg.GetVersionRequest(name=f"{name}/versions/1"), timeout=LIMIT
            ),
            lambda name=name: wire.read_file(f"{name}/versions/1", "a"),
            lambda name=name: wire.build(f"{name}/builds/1"),
        ]
        for call in calls:
            with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
                call()
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        wire.registry.SetAlias(
            reg.SetAliasRequest(
                name=f"namespaces/n/models/m/aliases/{bad}", version="namespaces/n/models/m/versions/1"
            ),
            timeout=LIMIT,
        )
    if bad:
        with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
            wire.registry.ListModels(reg.ListModelsRequest(parent=f"namespaces/{bad}"), timeout=LIMIT)


def test_unknown_references_are_not_found(wire: Wire) -> None:
    model = name_of("refs/known")
    wire.push("refs/known", {"a": b"1"})
    unknown = [f"{model}/versions/2", f"{model}/versions/{10**17}", f"{model}/aliases/prod"]
    unknown += [f"{model}/versions/b3:{'0' * 64}", f"{name_of('refs/unknown')}/versions/latest"]
    wire.create_build("refs/bare")
    for name in [*unknown, f"{name_of('refs/bare')}/versions/latest"]:
        for call in (
            lambda name: wire.registry.GetVersion(reg.GetVersionRequest(name=name), timeout=LIMIT),
            lambda name: wire.read_file(name, "a"),
            lambda name: list(
                wire.artifacts.ReadManifest(art.ReadManifestRequest(version=name), timeout=LIMIT)
            ),
        ):
            with wire.refused("NOT_FOUND", "NOT_FOUND"):
                call(name)
    for upload in ("uploads/0", "uploads/" + "f" * 32):
        with wire.refused("NOT_FOUND", "NOT_FOUND"):
            wire.upload(upload)
        with wire.refused("NOT_FOUND", "NOT_FOUND"):
            wire.commit(upload)
    malformed = [f"{model}/versions/{bad}" for bad in ("0", "-1", "01", "1.0", "b3:xyz", "", "1" * 19, "١")]
    for name in [*malformed, f"{model}/aliases/1st", "", model]:
        with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
            wire.registry.GetVersion(reg.GetVersionRequest(name=name), timeout=LIMIT)


def test_every_name_of_a_version_leads_to_it(wire: Wire) -> None:
    model = name_of("refs/all")
    version = wire.push("refs/all", {"a": b"1"}, aliases=["prod"])
    for last in (
        "versions/1",
        "versions/latest",
        f"versions/b3:{version.digest}",
        "aliases/prod",
        "aliases/latest",
    ):
        got = wire.registry.GetVersion(reg.GetVersionRequest(name=f"{model}/{last}"), timeout=LIMIT).version
        assert got == version


def test_aliases_move_with_history_and_only_as_expected(wire: Wire) -> None:
    model = name_of("alias/moves")
    one, two = (wire.push("alias/moves", {"a": data}).name for data in (b"1", b"2"))
    alias = f"{model}/aliases/prod"

    def point(version: str, expect: str = "") -> reg.Alias:
        request = reg.SetAliasRequest(name=alias, version=version, expect_version=expect)
        return wire.registry.SetAlias(request, timeout=LIMIT).alias

    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        point(f"{model}/versions/9")
    with wire.refused("ABORTED", "ETAG_MISMATCH"):
        point(two, expect=one)
    assert point(one).version == one
    assert point(one).version == one
    with wire.refused("ABORTED", "ETAG_MISMATCH"):
        point(one, expect=two)
    assert point(two, expect=one).version == two
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        point(f"{name_of('alias/else')}/versions/1")
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        request = reg.SetAliasRequest(name=f"{model}/aliases/latest", version=one)
        wire.registry.SetAlias(request, timeout=LIMIT)
    history = wire.registry.ListAliasHistory(reg.ListAliasHistoryRequest(parent=alias), timeout=LIMIT).changes
    assert [(change.version, change.previous_version) for change in history] == [(two, one), (one, "")]


def test_pages_are_whole_and_their_tokens_are_of_one_list_only(wire: Wire) -> None:
    for number in range(7):
        wire.push("pages/one", {"a": b"%d" % number})
    wire.push("pages/two", {"a": b"1"})
    parent = name_of("pages/one")
    seen, token = [], ""
    while True:
        request = reg.ListVersionsRequest(parent=parent, page_size=3, page_token=token)
        page = wire.registry.ListVersions(request, timeout=LIMIT)
        seen += [version.number for version in page.versions]
        token = page.next_page_token
        if len(seen) == 3:
            kept = token
            wire.push("pages/one", {"a": b"late"})  # does not move what follows
        if not token:
            break
    assert seen == [7, 6, 5, 4, 3, 2, 1]
    flipped = kept[:4] + ("A" if kept[4] != "A" else "B") + kept[5:]
    for bad in (flipped, kept[:-3], kept + "AAAA", "%%%", "ü", "A" * 10_000, "AAAA"):
        with wire.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
            wire.registry.ListVersions(reg.ListVersionsRequest(parent=parent, page_token=bad), timeout=LIMIT)
    for request in (
        lambda token: wire.registry.ListVersions(
            reg.ListVersionsRequest(parent=name_of("pages/two"), page_token=token), timeout=LIMIT
        ),
        lambda token: wire.registry.ListModels(
            reg.ListModelsRequest(parent="namespaces/pages", page_token=token), timeout=LIMIT
        ),
        lambda token: wire.builds.ListBuilds(
            bld.ListBuildsRequest(parent=parent, page_token=token), timeout=LIMIT
        ),
    ):
        with wire.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
            request(kept)


def test_a_negative_page_size_is_refused_by_every_list(wire: Wire) -> None:
    model = name_of("pages/negative")
    wire.push("pages/negative", {"a": b"1"}, aliases=["prod"])
    for call in (
        lambda: wire.registry.ListModels(
            reg.ListModelsRequest(parent="namespaces/-", page_size=-1), timeout=LIMIT
        ),
        lambda: wire.registry.ListVersions(
            reg.ListVersionsRequest(parent=model, page_size=-1), timeout=LIMIT
        ),
        lambda: wire.builds.ListBuilds(
            bld.ListBuildsRequest(parent=model, page_size=-(2**31)), timeout=LIMIT
        ),
        lambda: wire.registry.ListAliasHistory(
            reg.ListAliasHistoryRequest(parent=f"{model}/aliases/prod", page_size=-1), timeout=LIMIT
        ),
    ):
        with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
            call()
    huge = reg.ListVersionsRequest(parent=model, page_size=2**31 - 1)
    assert len(wire.registry.ListVersions(huge, timeout=LIMIT).versions) == 1


def test_no_answer_outgrows_a_message(wire: Wire) -> None:
    text = "d" * 65_536
    for number in range(70):
        request = reg.CreateModelRequest(name=name_of(f"large/m{number:03}"), description=text)
        wire.registry.CreateModel(request, timeout=LIMIT)
    seen, token = [], ""
    while True:
        page = wire.registry.ListModels(
            reg.ListModelsRequest(parent="namespaces/large", page_token=token), timeout=LIMIT
        )
        seen += [model.name for model in page.models]
        token = page.next_page_token
        if not token:
            break
    assert seen == [name_of(f"large/m{number:03}") for number in range(70)]


def test_the_progress_of_very_many_files_comes_in_messages_that_fit(wire: Wire) -> None:
    upload = wire.start("large/upload")
    paths = [f"{number:05}" + "x" * 1000 for number in range(4_500)]
    for start in range(0, len(paths), 1500):
        parts = [recipe(path) for path in paths[start : start + 1500]]
        wire.write_chunks(art.WriteChunksRequest(upload=upload, recipes=parts))
    seen: list[str] = []
    while True:
        request = art.GetUploadRequest(name=upload, after_path=seen[-1] if seen else "")
        answer = wire.artifacts.GetUpload(request, timeout=LIMIT)
        seen += [file.path for file in answer.upload.files]
        if not answer.more_files:
            break
    assert seen == paths


def test_a_file_of_very_many_small_chunks_comes_in_messages_that_fit(wire: Wire) -> None:
    upload, count = wire.start("large/chunks"), 60_000
    half = b"x" * 1
    for offset in (0, count):
        part = recipe("f", *[half] * count, offset=offset, finish=offset == count)
        wire.write_chunks(chunk_message(upload, half, recipes=[part]))
    version = wire.commit(upload).name
    assert wire.read_file(version, "f", 2 * count - 100) == b"x" * 100
    request = art.ReadManifestRequest(version=version, include_chunks=True)
    messages = list(wire.artifacts.ReadManifest(request, timeout=LIMIT))
    assert sum(len(file.chunks) for message in messages for file in message.files) == 2 * count
    ranges = [art.FileRange(path="f")]
    chunks = wire.artifacts.ReadChunks(art.ReadChunksRequest(version=version, ranges=ranges), timeout=LIMIT)
    assert b"".join(message.data for message in chunks) == b"x" * 2 * count
