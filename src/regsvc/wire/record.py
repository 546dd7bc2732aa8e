"""Records between wire messages and plain values, for both ends of the wire."""

from __future__ import annotations

from collections.abc import Iterable

from regsvc.content.record import (
    Accelerator,
    Attachment,
    Code,
    DatasetUse,
    Environment,
    Image,
    Parent,
    Record,
    Relation,
    Signature,
    TensorSpec,
)
from regsvc.errors import RecordInvalid
from regsvc.v1 import record_pb2 as pb


def record_to(record: Record, attachments: list[Attachment] | None = None) -> pb.Record:
    """To the wire."""
    code, environment, image, signature = record.code, record.environment, record.image, record.signature
    message = pb.Record(
        card=record.card,
        labels=record.labels,
        parents=[
            pb.Parent(relation=int(each.relation), version=each.version, uri=each.uri)  # type: ignore[arg-type]
            for each in record.parents
        ],
        framework=record.framework,
        format=record.format,
        gaps=record.gaps,
        datasets=[
            pb.DatasetUse(
                dataset=each.dataset,
                split=each.split,
                filter=each.filter,
                begin=each.begin,
                end=each.end,
                digest=each.digest,
            )
            for each in record.datasets
        ],
        attachments=[
            pb.Attachment(name=each.name, size=each.size, digest=each.digest.hex())
            for each in attachments or ()
        ],
    )
    if code != Code():
        message.code.CopyFrom(
            pb.Code(
                remote=code.remote,
                commit=code.commit,
                branch=code.branch,
                dirty=code.dirty,
                diff=code.diff,
                snapshot=code.snapshot,
            )
        )
    if environment != Environment():
        message.environment.CopyFrom(_environment_to(environment))
    if image != Image():
        message.image.CopyFrom(pb.ContainerImage(reference=image.reference, digest=image.digest))
    if signature != Signature():
        message.signature.CopyFrom(
            pb.Signature(
                inputs=[_spec_to(each) for each in signature.inputs],
                outputs=[_spec_to(each) for each in signature.outputs],
                json_schema=signature.json_schema,
            )
        )
    return message


def record_from(message: pb.Record) -> Record:
    """From the wire. An unknown relation is none. Raises `RecordInvalid` for a package that stands there twice."""
    code, environment, image = message.code, message.environment, message.image
    return Record(
        code=Code(code.remote, code.commit, code.branch, code.dirty, code.diff, code.snapshot),
        environment=Environment(
            python=environment.python,
            platform=environment.platform,
            cpu=environment.cpu,
            cores=environment.cores,
            memory_bytes=environment.memory_bytes,
            accelerators=tuple(
                Accelerator(each.name, each.memory_bytes, each.driver) for each in environment.accelerators
            ),
            packages=_packages_from(environment.packages),
            variables=dict(environment.variables),
            lock_file=environment.lock_file,
        ),
        image=Image(image.reference, image.digest),
        signature=Signature(
            tuple(map(_spec_from, message.signature.inputs)),
            tuple(map(_spec_from, message.signature.outputs)),
            message.signature.json_schema,
        ),
        card=message.card,
        labels=tuple(message.labels),
        parents=tuple(Parent(_relation(each.relation), each.version, each.uri) for each in message.parents),
        framework=message.framework,
        format=message.format,
        gaps=tuple(message.gaps),
        datasets=tuple(
            DatasetUse(each.dataset, each.split, each.filter, each.begin, each.end, each.digest)
            for each in message.datasets
        ),
    )


def attachment_from(message: pb.Attachment) -> Attachment:
    """From the wire."""
    return Attachment(message.name, message.size, bytes.fromhex(message.digest))


def _environment_to(environment: Environment) -> pb.Environment:
    return pb.Environment(
        python=environment.python,
        platform=environment.platform,
        cpu=environment.cpu,
        cores=environment.cores,
        memory_bytes=environment.memory_bytes,
        accelerators=[
            pb.Accelerator(name=each.name, memory_bytes=each.memory_bytes, driver=each.driver)
            for each in environment.accelerators
        ],
        packages=[
            pb.Package(name=name, version=version) for name, version in sorted(environment.packages.items())
        ],
        variables=environment.variables,
        lock_file=environment.lock_file,
    )


def _packages_from(messages: Iterable[pb.Package]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in messages:
        if each.name in found:
            shown = each.name[:60].encode("unicode_escape").decode("ascii")
            raise RecordInvalid(f"the package '{shown}' stands there twice", package=shown)
        found[each.name] = each.version
    return found


def _spec_to(spec: TensorSpec) -> pb.TensorSpec:
    return pb.TensorSpec(name=spec.name, dtype=spec.dtype, shape=spec.shape)


def _spec_from(message: pb.TensorSpec) -> TensorSpec:
    return TensorSpec(message.name, message.dtype, tuple(message.shape))


def _relation(number: int) -> Relation:
    return Relation(number) if number in Relation._value2member_map_ else Relation.UNSPECIFIED
