"""What an export says of a model that is renamed under it."""

from __future__ import annotations

from pathlib import Path

from regsvc.catalog import models
from regsvc.catalog.database import Catalog
from regsvc.catalog.transfer_items import ModelItem
from regsvc.refs import ModelName
from regsvc.service.limits import Limits
from regsvc.service.reading import ChunkReader, VersionReader
from regsvc.service.transfer_export import Exporter, Wanted
from regsvc.store import PackStore


def test_a_model_that_is_renamed_meanwhile_ends_no_export(tmp_path: Path) -> None:
    catalog, store = Catalog(tmp_path / "catalog.sqlite"), PackStore(tmp_path / "store")
    for name in ("a", "b", "c", "d"):
        catalog.write(lambda tx, name=name: models.create(tx, ModelName("n", name), ""))  # type: ignore[misc]
    exporter = Exporter(catalog, VersionReader(catalog, ChunkReader(store, catalog)), Limits())

    def rename(old: str) -> None:
        catalog.write(lambda tx: tx.run("UPDATE models SET name = ? WHERE name = ?", [f"z{old}", old]))

    items = (item for item, _ in exporter.export(Wanted(["namespaces/-"])))
    first = next(items)
    assert isinstance(first, ModelItem)
    assert first.name == ModelName("n", "a")
    rename("b")  # which is listed, and not begun
    rest = list(items)
    assert [item.name.model for item in rest if isinstance(item, ModelItem)] == ["c", "d"]

    found = exporter.export(Wanted(["namespaces/n"]))
    assert isinstance(next(found)[0], ModelItem)
    rename("d")
    assert [item.name.model for item, _ in found if isinstance(item, ModelItem)] == ["c", "zb"]
    store.close()
    catalog.close()
