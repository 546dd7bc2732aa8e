import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from regsvc.content.manifest import (
    Entry,
    ManifestError,
    PathError,
    check_path,
    check_tree,
    parse,
    text,
    version_digest,
)

ENTRIES = [Entry("b", 1, blake3(b"1").digest()), Entry("a/c", 0, blake3(b"").digest())]
PATHS = st.lists(
    st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\."), min_size=1, max_size=8
    ),
    min_size=1,
    max_size=3,
).map("/".join)


def test_text_is_what_b3sum_prints() -> None:
    assert text(ENTRIES) == (
        b"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262  a/c\n"
        + blake3(b"1").hexdigest().encode()
        + b"  b\n"
    )


def test_version_digest_is_of_the_text() -> None:
    assert version_digest(iter(ENTRIES)) == blake3(text(ENTRIES)).digest()
    assert version_digest([]) == blake3(b"").digest()


@given(st.dictionaries(PATHS, st.binary(min_size=32, max_size=32), max_size=12))
def test_text_is_sorted_bytewise_and_parses_back(files: dict[str, bytes]) -> None:
    try:
        check_tree(files)
    except PathError:
        return
    manifest = text(Entry(path, 0, digest) for path, digest in files.items())
    parsed = parse(manifest)
    assert dict(parsed) == files
    assert [path.encode() for path, _ in parsed] == sorted(path.encode() for path in files)


LINE = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262  a\n"


@pytest.mark.parametrize(
    "bad",
    [
        LINE[:-1],
        LINE + "\n",
        LINE.upper(),
        LINE.replace("  ", " "),
        LINE.replace("  ", " *"),
        LINE[1:],
        "\\" + LINE,
        LINE.replace("a\n", "\n"),
        LINE.replace("a\n", "b\n") + LINE,
    ],
)
def test_text_that_is_no_manifest_is_refused(bad: str) -> None:
    with pytest.raises(ManifestError):
        parse(bad.encode())


def test_manifest_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(ManifestError, match="UTF-8"):
        parse(LINE.encode().replace(b"  a", b"  \xff"))


@pytest.mark.parametrize("bad", [LINE + LINE, LINE.replace("  a", "  ../a"), LINE.replace("a\n", "a\r\n")])
def test_manifest_with_a_bad_path_is_refused(bad: str) -> None:
    with pytest.raises(PathError):
        parse(bad.encode())


def test_digest_of_another_length_is_refused() -> None:
    with pytest.raises(ManifestError, match="31 bytes"):
        text([Entry("a", 0, bytes(31))])


def test_path_is_measured_in_bytes() -> None:
    assert check_path("é" * 512)
    with pytest.raises(PathError, match="1026 bytes"):
        check_path("é" * 513)


def test_tree_of_100_000_files() -> None:
    files = [f"{i % 100}/{i % 977}/{i}" for i in range(100_000)]
    check_tree(files)
    with pytest.raises(PathError, match="file and a directory"):
        check_tree([*files, "17/17"])
