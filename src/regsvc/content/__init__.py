"""What regsvc does to bytes before they are stored or sent: cut, encode, name. Pure functions, no I/O.

`chunking` cuts a stream into chunks (by the plans in `plans`, which read tensor headers with `tensors`),
`codec` encodes one chunk, `manifest` names a version's files, `recipe` lists a file's chunks.
The byte-level definitions are in `docs/format.md`; the vectors in `protos/vectors/` pin them down.
"""
