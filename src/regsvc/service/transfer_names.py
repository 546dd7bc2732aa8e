"""Where imported things go: under their own names, or under another namespace or model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from regsvc import refs
from regsvc.catalog.transfer_items import (
    AliasItem,
    BlobItem,
    BuildItem,
    DatasetItem,
    Item,
    LeftOutItem,
    ManifestItem,
    ModelItem,
    NotesItem,
    PointsItem,
    RulesItem,
    VersionItem,
    VersionStateItem,
)
from regsvc.content.record import DatasetUse
from regsvc.errors import NameInvalid
from regsvc.refs import AliasName, BuildName, DatasetRef, ModelName, VersionRef


@dataclass(frozen=True)
class Into:
    """A place for what is imported. Without a namespace everything keeps its name."""

    namespace: str = ""
    model: str = ""

    def placed(self, item: Item) -> Item:
        """The item under the name that it gets."""
        if not self.namespace:
            return item
        match item:
            case ModelItem():
                return replace(item, name=self.model_name(item.name))
            case BuildItem():
                return replace(item, name=self._build(item.name))
            case VersionItem():
                build = None if item.build is None else self._build(item.build)
                return replace(item, ref=self._version(item.ref), build=build)
            case DatasetItem():
                return replace(item, ref=replace(item.ref, namespace=self.namespace))
            case ManifestItem() | VersionStateItem() | NotesItem():
                return replace(item, ref=self._version(item.ref))
            case PointsItem() | BlobItem():
                return replace(item, owner=self._owner(item.owner))
            case RulesItem():
                return replace(item, rules=replace(item.rules, name=self._alias(item.rules.name)))
            case AliasItem():
                return replace(item, name=self._alias(item.name))
            case LeftOutItem():
                return item

    def use(self, use: DatasetUse) -> DatasetUse:
        """A dataset that a record names, where it went."""
        if not self.namespace:
            return use
        return replace(
            use, dataset=replace(refs.dataset_from_wire(use.dataset), namespace=self.namespace).wire
        )

    def parent(self, name: str) -> str:
        """A version that a record names, where it went."""
        return self._version(refs.version_from_wire(name)).wire if self.namespace and name else name

    def model_name(self, name: ModelName) -> ModelName:
        """Where a model goes."""
        return ModelName(self.namespace, self.model or name.model) if self.namespace else name

    def _version(self, ref: VersionRef) -> VersionRef:
        return replace(ref, model=self.model_name(ref.model))

    def _build(self, name: BuildName) -> BuildName:
        return replace(name, model=self.model_name(name.model))

    def _alias(self, name: AliasName) -> AliasName:
        return replace(name, model=self.model_name(name.model))

    def _owner(self, owner: VersionRef | BuildName) -> VersionRef | BuildName:
        return self._build(owner) if isinstance(owner, BuildName) else self._version(owner)


def into_of(name: str) -> Into:
    """`namespaces/{ns}`, or `namespaces/{ns}/models/{model}`, or nothing. Raises `NameInvalid`."""
    if not name:
        return Into()
    if name.count("/") == 1:
        namespace = refs.namespace_from_wire(name)
        if namespace == "-":
            raise NameInvalid("things are put into one namespace", name=name)
        return Into(namespace)
    model = refs.model_from_wire(name)
    return Into(model.namespace, model.model)


def check_number(ref: VersionRef | DatasetRef) -> None:
    """Raises `NameInvalid` when something that travels has no number."""
    if ref.number is None:
        raise NameInvalid(f"'{ref}' has no number", name=ref.wire)
