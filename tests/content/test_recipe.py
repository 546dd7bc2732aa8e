import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from regsvc.content.chunking import MAX_CHUNK
from regsvc.content.recipe import ChunkRef, Recipe, RecipeError

DIGEST = st.binary(min_size=32, max_size=32)
RECIPES = st.builds(
    Recipe.of, DIGEST, st.lists(st.builds(ChunkRef, DIGEST, st.integers(1, MAX_CHUNK)), max_size=20)
)
EXAMPLE = Recipe.of(bytes(32), [ChunkRef(b"\1" * 32, 5), ChunkRef(b"\2" * 32, MAX_CHUNK)])


@given(RECIPES)
def test_recipe_round_trips(recipe: Recipe) -> None:
    assert Recipe.unpack(recipe.pack()) == recipe


def test_packed_form_is_as_documented() -> None:
    assert EXAMPLE.pack() == (
        b"RGR\x01"
        + bytes(32)
        + (MAX_CHUNK + 5).to_bytes(8, "little")
        + (2).to_bytes(4, "little")
        + b"\1" * 32
        + (5).to_bytes(4, "little")
        + b"\2" * 32
        + MAX_CHUNK.to_bytes(4, "little")
    )


def test_empty_file_has_a_recipe() -> None:
    empty = Recipe.of(blake3(b"").digest(), [])
    assert len(empty.pack()) == 48
    assert Recipe.unpack(empty.pack()) == empty


PACKED = EXAMPLE.pack()


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(b"", id="empty"),
        pytest.param(PACKED[:47], id="short head"),
        pytest.param(PACKED[:-1], id="truncated"),
        pytest.param(PACKED + b"\0", id="bytes too many"),
        pytest.param(b"RGR\x02" + PACKED[4:], id="other version"),
        pytest.param(PACKED[:36] + bytes(8) + PACKED[44:], id="sizes do not add up"),
        pytest.param(PACKED[:44] + b"\xff" * 4 + PACKED[48:], id="claims 4 billion chunks"),
        pytest.param(PACKED[:-4] + bytes(4), id="empty chunk"),
        pytest.param(PACKED[:-4] + (MAX_CHUNK + 1).to_bytes(4, "little"), id="chunk over the limit"),
    ],
)
def test_bytes_that_are_no_recipe_are_refused(packed: bytes) -> None:
    with pytest.raises(RecipeError):
        Recipe.unpack(packed)


@pytest.mark.parametrize(
    "recipe",
    [Recipe(bytes(31), 0, ()), Recipe(bytes(32), 1, ()), Recipe(bytes(32), 5, (ChunkRef(bytes(31), 5),))],
)
def test_recipe_that_contradicts_itself_is_not_packed(recipe: Recipe) -> None:
    with pytest.raises(RecipeError):
        recipe.pack()
