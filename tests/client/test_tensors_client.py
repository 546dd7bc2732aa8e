"""`client.tensors`: names, types and bytes held against the libraries that wrote the files, and what is fetched."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gguf
import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from cutting_proxy import CuttingProxy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from support import Server

import regsvc
from regsvc import errors
from regsvc.client import chunk_source, file_chunks
from regsvc.client.client import Client
from regsvc.client.file_chunks import FileChunks
from regsvc.client.tensor_arrays import Box, empty
from regsvc.client.tensors import TensorNotFound, Tensors

MIB = 1 << 20
Arrays = dict[str, npt.NDArray[Any]]


def random_array(seed: int, shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
    dtype = np.dtype(dtype)
    data = np.random.default_rng(seed).bytes(int(np.prod(shape)) * dtype.itemsize)
    array = np.frombuffer(data, dtype).reshape(shape)
    return array if dtype != np.bool_ else (array.view(np.uint8) & 1).astype(np.bool_)


def same(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> bool:
    """Bit by bit, for there are many NaN."""
    return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())


SOURCE: Arrays = {
    "embed": random_array(1, (1000, 768), np.float32),
    "half": random_array(2, (513, 1030), np.float16),
    "brain": random_array(3, (2000, 999), ml_dtypes.bfloat16),
    "cube": random_array(4, (7, 130, 900), np.int16),
    "wide": random_array(5, (3, 500_000), np.uint8),
    "fp8": random_array(6, (100, 64), ml_dtypes.float8_e4m3fn),
    "fp8.5": random_array(7, (33,), ml_dtypes.float8_e5m2),
    "mask": random_array(8, (99, 3), np.bool_),
    "double": random_array(9, (5, 5), np.float64),
    "long": random_array(10, (11,), np.int64),
    "scalar": random_array(11, (), np.float32),
    "nothing": np.zeros((0, 4), np.float32),
    **{f"tiny.{number}": random_array(20 + number, (64,), np.float32) for number in range(40)},
}


def named(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(array).reshape(array.shape)


@pytest.fixture(scope="module")
def registry(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with team/one, a file of everything, and team/parts, the same over three files."""
    root: Path = tmp_path_factory.mktemp("tensors")
    with regsvc.connect(shared_server.endpoint) as client:
        (root / "one").mkdir()
        save_file({key: named(array) for key, array in SOURCE.items()}, root / "one" / "model.safetensors")
        (root / "one" / "config.json").write_text("{}")
        client.push(root / "one", "team/one")
        (root / "parts").mkdir()
        names = list(SOURCE)
        for part in range(3):
            chosen = {key: named(SOURCE[key]) for key in names[part::3]}
            save_file(chosen, root / "parts" / f"model-0000{part + 1}-of-00003.safetensors")
        client.push(root / "parts", "team/parts")
    return shared_server


@pytest.fixture
def client(registry: Server) -> Iterator[Client]:
    with regsvc.connect(registry.endpoint) as client:
        yield client


@pytest.fixture(scope="module")
def shared_tensors(registry: Server) -> Iterator[dict[str, Tensors]]:
    with regsvc.connect(registry.endpoint) as client:
        yield {model: client.tensors(f"team/{model}") for model in ("one", "parts")}


def push_files(client: Client, folder: Path, model: str, files: Mapping[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    client.push(folder, model)


def safetensors_file(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def calls_of(client: Client) -> list[Any]:
    """Every ReadChunks that the client makes from now on."""
    channel, calls = client._connection(None).ranged(), []
    real = channel.ReadChunks

    def read(request: Any) -> Any:
        calls.append(real(request))
        return calls[-1]

    channel.ReadChunks = read
    return calls


@pytest.mark.parametrize("model", ["one", "parts"])
def test_every_tensor_is_the_one_that_was_saved(shared_tensors: dict[str, Tensors], model: str) -> None:
    tensors = shared_tensors[model]
    assert sorted(tensors) == sorted(SOURCE)
    assert len(tensors) == len(SOURCE)
    assert tensors.version == f"team/{model}:1"
    for name, array in SOURCE.items():
        info = tensors.info(name)
        assert (info.name, info.key, info.shape, info.nbytes) == (name, name, array.shape, array.nbytes)
        assert info.file.endswith(".safetensors")
        assert same(tensors[name], array), name
    assert {info.dtype for info in tensors.infos()} >= {"F32", "BF16", "F8_E4M3", "BOOL"}
    assert "no-such" not in tensors
    assert tensors.get("no-such") is None


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    model=st.sampled_from(["one", "parts"]),
    name=st.sampled_from([key for key, array in SOURCE.items() if array.ndim]),
    count=st.integers(1, 9),
    data=st.data(),
)
def test_a_shard_is_what_array_split_gives(
    shared_tensors: dict[str, Tensors], model: str, name: str, count: int, data: st.DataObject
) -> None:
    array = SOURCE[name]
    axis = data.draw(st.integers(-array.ndim, array.ndim - 1))
    number = data.draw(st.integers(0, count - 1))
    shard = shared_tensors[model].read(name, shard=(number, count), axis=axis)
    assert same(shard, np.array_split(array, count, axis)[number])
    shard.fill(0)  # it is the caller's own


@settings(deadline=None, max_examples=300)
@given(
    begin=st.integers(0, 40),
    rows=st.integers(0, 12),
    columns=st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30)),
    cuts=st.lists(st.integers(1, 60), max_size=60),
)
def test_a_box_takes_its_bytes_from_whatever_chunks(
    begin: int, rows: int, columns: tuple[int, int, int], cuts: list[int]
) -> None:
    left, right, width = sorted(columns)
    if width == 0:
        left = right = rows = 0
    data = random.Random(1).randbytes(begin + rows * width + 17)
    file, edges = FileChunks("f", len(data), b""), [0]
    for cut in [*cuts, len(data)]:
        edge = min(len(data), edges[-1] + cut)
        if edge > edges[-1]:
            file.add(bytes(32), edge - edges[-1])
            edges.append(edge)
    box = Box(begin, rows, width, left, right, ())
    wanted = [
        position
        for row in range(rows)
        for position in range(begin + row * width + left, begin + row * width + right)
    ]
    chunks = list(box.chunks(file))
    touched = {n for n in range(len(file)) if any(file.begin(n) <= each < file.end(n) for each in wanted)}
    assert chunks == sorted(touched)
    room = empty(box)
    for number in random.Random(2).sample(chunks, len(chunks)):
        box.fill(room, file.begin(number), data[file.begin(number) : file.end(number)])
    assert room.tobytes() == bytes(data[position] for position in wanted)


def test_many_come_in_one_call_and_shared_chunks_once(client: Client) -> None:
    tensors = client.tensors("team/one")
    before, calls = tensors.bytes_received, calls_of(client)
    tiny = [name for name in SOURCE if name.startswith("tiny.")]
    found = tensors.read_many(["brain", *tiny, "scalar", "nothing", "brain"])
    assert list(found) == ["brain", *tiny, "scalar", "nothing"]
    assert all(same(array, SOURCE[name]) for name, array in found.items())
    assert len(calls) == 1
    needed = sum(SOURCE[name].nbytes for name in found)
    assert tensors.bytes_received - before < needed + 64 * 1024
    everything = client.tensors("team/parts").read_many(SOURCE)
    assert all(same(array, SOURCE[name]) for name, array in everything.items())
    assert len(calls) <= 3


def test_what_does_not_fit_one_request_takes_several(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_source, "_REQUEST", 50)
    monkeypatch.setattr(file_chunks, "_PATHS", 1)
    tensors, calls = client.tensors("team/parts"), calls_of(client)
    assert len(tensors.files) == 3
    found = tensors.read_many(["embed", "half", "brain", "cube", "wide"])
    assert all(same(array, SOURCE[name]) for name, array in found.items())
    assert len(calls) > 1


def test_only_the_header_and_what_is_read_are_fetched(client: Client, tmp_path: Path) -> None:
    source = {f"layer.{number}": random_array(number, (256, 1024), np.float32) for number in range(48)}
    source["tall"] = random_array(99, (12, 2, MIB), np.uint8)
    (tmp_path / "m").mkdir()
    save_file(source, tmp_path / "m" / "model.safetensors")
    client.push(tmp_path / "m", "team/large")
    tensors, calls = client.tensors("team/large"), calls_of(client)
    assert tensors.bytes_received < 10_000

    def cost(read: Callable[[], npt.NDArray[Any]], expected: npt.NDArray[Any]) -> int:
        before, made = tensors.bytes_received, len(calls)
        assert same(read(), expected)
        assert len(calls) <= made + 1
        return tensors.bytes_received - before

    assert cost(lambda: tensors["layer.17"], source["layer.17"]) <= MIB
    assert cost(lambda: tensors["layer.17"], source["layer.17"]) == 0
    tall = source["tall"]
    assert cost(lambda: tensors.read("tall", shard=(2, 4)), tall[6:9]) <= 6 * MIB
    assert cost(lambda: tensors.read("tall", shard=(0, 2), axis=1), tall[:, :1]) <= 12 * MIB
    assert tensors.bytes_received < 20 * MIB


def test_listing_costs_one_read_for_all_files(client: Client) -> None:
    calls = calls_of(client)
    tensors = client.tensors("team/parts")
    assert len(calls) == 1
    assert tensors.files == tuple(f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3))


def test_names_that_two_files_have_go_by_file_and_name(client: Client, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    arrays = {part: random_array(part, (10,), np.float32) for part in range(2)}
    for part in range(2):
        save_file({"both": arrays[part], f"own.{part}": arrays[part]}, tmp_path / "m" / f"{part}.safetensors")
    client.push(tmp_path / "m", "team/double")
    tensors = client.tensors("team/double")
    assert sorted(tensors) == ["0.safetensors:both", "1.safetensors:both", "own.0", "own.1"]
    assert same(tensors["1.safetensors:both"], arrays[1])
    assert tensors.info("0.safetensors:both").name == "both"
    assert same(tensors["0.safetensors:own.0"], arrays[0])
    assert "0.safetensors:own.1" not in tensors
    assert "both" not in tensors
    with pytest.raises(TensorNotFound, match="2 files of team/double:1 have a tensor 'both'"):
        tensors.read("both")
    assert sorted(client.tensors("team/double", ["1.safetensors"])) == ["both", "own.1"]


def test_names_that_contradict_each_other_are_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    one = np.zeros(1, np.float32)
    save_file({"w": one}, tmp_path / "m" / "a.safetensors")
    save_file({"w": one, "a.safetensors:w": one}, tmp_path / "m" / "b.safetensors")
    client.push(tmp_path / "m", "team/clash")
    with pytest.raises(regsvc.InvalidArgument, match="two tensors answer to"):
        client.tensors("team/clash")
    assert len(client.tensors("team/clash", ["b.safetensors"])) == 2


def test_what_does_not_exist_is_named(client: Client) -> None:
    tensors = client.tensors("team/one")
    for kind in (KeyError, regsvc.NotFound, TensorNotFound):
        with pytest.raises(kind) as caught:
            tensors.read("no-such")
        assert str(caught.value) == "team/one:1 has no tensor 'no-such'"
    with pytest.raises(TensorNotFound):
        tensors.read_many(["embed", "no-such"])
    with pytest.raises(regsvc.NotFound):
        client.tensors("team/none")
    with pytest.raises(regsvc.NotFound, match="no-such"):
        client.tensors("team/one", ["no-such"])
    with pytest.raises(errors.PathInvalid):
        client.tensors("team/one", ["../x"])


@pytest.mark.parametrize(
    ("name", "shard", "axis"),
    [
        ("embed", (2, 2), 0),
        ("embed", (-1, 2), 0),
        ("embed", (0, 0), 0),
        ("embed", (0, 2), 2),
        ("embed", (0, 2), -3),
        ("scalar", (0, 1), 0),
    ],
)
def test_a_shard_that_does_not_exist_is_refused(
    shared_tensors: dict[str, Tensors], name: str, shard: tuple[int, int], axis: int
) -> None:
    with pytest.raises(regsvc.InvalidArgument, match=r"shard|axes"):
        shared_tensors["one"].read(name, shard=shard, axis=axis)


def test_a_version_without_tensor_files_is_an_empty_mapping(client: Client, tmp_path: Path) -> None:
    push_files(client, tmp_path / "m", "team/plain", {"readme.md": b"nothing here"})
    tensors = client.tensors("team/plain")
    assert dict(tensors) == {}
    assert (tensors.files, tensors.read_many([])) == ((), {})


def test_files_of_other_names_are_taken_by_their_first_bytes(client: Client, tmp_path: Path) -> None:
    header = {"w": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}}
    push_files(client, tmp_path / "m", "team/named", {"weights.bin": safetensors_file(header, b"abc")})
    assert len(client.tensors("team/named")) == 0
    assert client.tensors("team/named", ["weights.bin"])["w"].tobytes() == b"abc"


F4 = {"dtype": "F4", "shape": [3, 8], "data_offsets": [0, 12]}
ODD = {"dtype": "F4", "shape": [2, 3], "data_offsets": [12, 15]}
F6 = {"dtype": "F6_E2M3", "shape": [4], "data_offsets": [15, 18]}


def test_packed_elements_come_as_their_bytes(client: Client, tmp_path: Path) -> None:
    data = bytes(range(18))
    file = safetensors_file({"f4": F4, "odd": ODD, "f6": F6}, data)
    push_files(client, tmp_path / "m", "team/packed", {"m.safetensors": file})
    tensors = client.tensors("team/packed")
    assert same(tensors["f4"], np.frombuffer(data[:12], np.uint8).reshape(3, 4))
    assert same(tensors.read("f4", shard=(1, 3)), np.frombuffer(data[4:8], np.uint8).reshape(1, 4))
    assert same(tensors["odd"], np.frombuffer(data[12:15], np.uint8))
    assert same(tensors["f6"], np.frombuffer(data[15:], np.uint8))
    assert tensors.info("f4").shape == (3, 8)
    for name, axis in (("f4", 1), ("odd", 0), ("f6", -1)):
        with pytest.raises(regsvc.InvalidArgument, match="packs several elements"):
            tensors.read(name, shard=(0, 2), axis=axis)


BAD = {
    "empty": b"",
    "short": b"\x10",
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
    "too long": (1 << 40).to_bytes(8, "little") + b"{" + bytes(100),
    "past the end": (1000).to_bytes(8, "little") + b"{}" + bytes(100),
    "not json": safetensors_file(b"{nonsense"),
    "overlap": safetensors_file(
        {name: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]} for name in "ab"}, bytes(8)
    ),
    "outside": safetensors_file({"a": {"dtype": "U8", "shape": [1 << 50], "data_offsets": [0, 1 << 50]}}),
    "wrong size": safetensors_file({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)),
    "long name": safetensors_file({"x" * 100_000: {"dtype": "what"}}),
    "gguf that ends": b"GGUF" + (3).to_bytes(4, "little") + (5).to_bytes(8, "little") * 2,
    "gguf of a billion": b"GGUF"
    + (3).to_bytes(4, "little")
    + (1 << 30).to_bytes(8, "little") * 2
    + bytes(99),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_header_that_lies_is_a_clear_error(client: Client, tmp_path: Path, kind: str) -> None:
    model = f"team/bad-{kind.replace(' ', '-')}"
    good = safetensors_file({"w": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}}, b"abc")
    push_files(client, tmp_path / "m", model, {"bad.safetensors": BAD[kind], "good.safetensors": good})
    with pytest.raises(
        regsvc.InvalidArgument, match=r"the tensors of 'bad\.safetensors' cannot be read"
    ) as caught:
        client.tensors(model)
    assert caught.value.metadata == {"path": "bad.safetensors"}
    assert len(caught.value.message) < 400
    assert list(client.tensors(model, ["good.safetensors"])) == ["w"]


def test_a_shape_that_numpy_cannot_hold_is_refused(client: Client, tmp_path: Path) -> None:
    shape = [0, *[1 << 40] * 5]
    file = safetensors_file({"w": {"dtype": "U8", "shape": shape, "data_offsets": [0, 0]}})
    push_files(client, tmp_path / "m", "team/shape", {"m.safetensors": file})
    with pytest.raises(regsvc.InvalidArgument, match="no array has the shape"):
        client.tensors("team/shape").read("w")


def test_a_header_longer_than_its_first_chunk_is_read_on(client: Client, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    note = {"note": random.Random(3).randbytes(2 * MIB).hex()}
    save_file({"w": SOURCE["embed"]}, tmp_path / "m" / "long.safetensors", metadata=note)
    save_file({"v": SOURCE["half"]}, tmp_path / "m" / "short.safetensors")
    client.push(tmp_path / "m", "team/long")
    tensors = client.tensors("team/long")
    assert list(tensors) == ["w", "v"]
    assert same(tensors["w"], SOURCE["embed"])
    assert same(tensors["v"], SOURCE["half"])


def gguf_model(path: Path, words: int) -> Arrays:
    """A GGUF file with a vocabulary, written by the format's own library; gives what its own reader finds."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_token_list([f"word {number} {number * 7919 % 104_729:x}" for number in range(words)])
    kinds = gguf.GGMLQuantizationType
    plain = {
        "f32": random_array(1, (33, 64), np.float32),
        "f16": random_array(2, (5, 7, 11), np.float16),
        "i32": random_array(3, (10,), np.int32),
    }
    for name, array in plain.items():
        writer.add_tensor(name, array)
    weights = np.random.default_rng(1).standard_normal((300, 256)).astype(np.float32)
    for kind in (kinds.Q8_0, kinds.Q4_0, kinds.Q5_1, kinds.BF16):
        writer.add_tensor(kind.name.lower(), gguf.quants.quantize(weights, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {tensor.name: tensor.data.copy() for tensor in gguf.GGUFReader(path).tensors}


@pytest.mark.parametrize("words", [10, 200_000])
def test_gguf_tensors_are_those_that_its_library_reads(client: Client, tmp_path: Path, words: int) -> None:
    (tmp_path / "m").mkdir()
    expected = gguf_model(tmp_path / "m" / "model.gguf", words)
    client.push(tmp_path / "m", "team/gguf")
    calls = calls_of(client)
    tensors = client.tensors("team/gguf")
    assert len(calls) <= 3
    assert list(tensors) == list(expected)
    for name, array in expected.items():
        if name == "bf16":
            assert tensors[name].dtype == ml_dtypes.bfloat16
            assert tensors[name].tobytes() == array.tobytes()
        else:
            assert same(tensors[name], array), name
    assert (tensors.info("q4_0").dtype, tensors.info("q4_0").shape) == ("Q4_0", (300, 256))
    kind = gguf.GGMLQuantizationType.Q4_0
    assert same(gguf.quants.dequantize(tensors["q4_0"], kind), gguf.quants.dequantize(expected["q4_0"], kind))
    assert same(tensors.read("q4_0", shard=(2, 7)), np.array_split(expected["q4_0"], 7)[2])
    with pytest.raises(regsvc.InvalidArgument, match="Q4_0 packs several elements"):
        tensors.read("q4_0", shard=(0, 2), axis=1)


def test_threads_read_at_once(shared_tensors: dict[str, Tensors]) -> None:
    def check(name: str) -> bool:
        return same(shared_tensors["parts"].read(name), SOURCE[name])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, [*SOURCE] * 3))


@pytest.mark.parametrize("cut", [500_000, 3 * MIB + 17])
def test_a_disconnect_is_not_noticed(registry: Server, cut: int) -> None:
    with CuttingProxy(registry.endpoint, down=cut) as proxy, regsvc.connect(proxy.endpoint) as client:
        tensors = client.tensors("team/one")
        releasing = threading.Thread(target=lambda: (proxy.reached.wait(60), proxy.release()))
        releasing.start()
        found = tensors.read_many(SOURCE)
        releasing.join()
        assert all(same(array, SOURCE[name]) for name, array in found.items())


def test_a_damaged_chunk_costs_only_its_tensors(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server()
    source = {f"layer.{number}": random_array(number, (MIB,), np.uint8) for number in range(8)}
    (tmp_path / "m").mkdir()
    save_file(source, tmp_path / "m" / "model.safetensors")
    with regsvc.connect(server.endpoint) as client:
        client.push(tmp_path / "m", "team/damaged")
        [pack] = (server.data / "packs").rglob("*.pack")
        stored = pack.read_bytes()
        at = stored.index(source["layer.3"].tobytes()[:1000]) + 5000
        pack.write_bytes(stored[:at] + b"damaged!" + stored[at + 8 :])
        tensors = client.tensors("team/damaged")
        with pytest.raises(errors.ChunkDamaged):
            tensors.read("layer.3")
        with pytest.raises(errors.ChunkDamaged):
            tensors.read_many(tensors)
        server.restart()
        for name in source.keys() - {"layer.3"}:
            assert same(tensors[name], source[name])


def test_the_memory_of_a_shard_is_that_of_the_shard(registry: Server, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    save_file({"w": random_array(1, (256, MIB), np.uint8)}, tmp_path / "m" / "model.safetensors")
    program = """
import sys, regsvc
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) << 10
with regsvc.connect(sys.argv[1]) as client:
    tensors = client.tensors("team/shard")
    tensors.read("w", shard=(0, 256))
    before = peak()
    shard = tensors.read("w", shard=(1, 16), axis=1)
    print(shard.nbytes, peak() - before)
"""
    with regsvc.connect(registry.endpoint) as client:
        client.push(tmp_path / "m", "team/shard")
    done = subprocess.run(
        [sys.executable, "-c", program, registry.endpoint], capture_output=True, text=True, check=True
    )
    size, grown = map(int, done.stdout.split())
    assert size == 16 * MIB
    assert grown < 80 * MIB


def test_the_documented_example_runs(
    registry: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = Path(__file__).parents[2] / "docs" / "tensors.md"
    [example] = re.findall(r"^```python\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)
    source = {
        "layers.0.attn.weight": random_array(1, (64, 32), ml_dtypes.bfloat16),
        "layers.0.mlp.weight": random_array(2, (64, 32), ml_dtypes.bfloat16),
    }
    (tmp_path / "m").mkdir()
    save_file(source, tmp_path / "m" / "model.safetensors")
    (tmp_path / "m" / "vocab.txt").write_text("first\nsecond\n")
    with regsvc.connect(registry.endpoint) as client:
        client.push(tmp_path / "m", "team/llm", aliases=["prod"])
    monkeypatch.setenv("REGSVC_ENDPOINT", registry.endpoint)
    exec(compile(example, document.name, "exec"), {})
    assert capsys.readouterr().out.splitlines() == [
        "first",
        "layers.0.attn.weight BF16 (64, 32) 4096 model.safetensors",
        "layers.0.mlp.weight BF16 (64, 32) 4096 model.safetensors",
        "(64, 32) (8, 32) (64, 16) 2",
    ]
