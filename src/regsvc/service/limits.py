"""What the service accepts: every bound on what comes from outside, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds and leases. Clients learn the public ones from GetCapabilities."""

    max_chunk_bytes: int = 2 << 20
    """Largest raw chunk; also bounds what a frame may decode to."""
    max_message_data_bytes: int = 3 << 20
    """Largest bulk field of one message; gRPC's own default refuses messages over 4 MiB."""
    max_find_missing: int = 16_384
    """Digests in one FindMissingChunks: half a MiB of digests."""
    max_read_ranges: int = 16_384
    """Ranges in one ReadChunks."""
    max_files_per_version: int = 100_000
    """An upload keeps about 4 KiB a file in memory until it is committed."""
    max_chunks_per_upload: int = 2_000_000
    """An upload keeps 36 bytes a chunk in memory; 2 TiB of 1 MiB slices."""
    max_open_uploads: int = 1024
    """Open uploads, each with a lease; only those in use take memory."""
    max_aliases_per_commit: int = 100
    """Aliases moved by one commit."""
    max_record_entries: int = 2_000
    """Params, tags and metrics of one version or build, each."""
    max_record_bytes: int = 1 << 20
    """All params, tags, metrics and the description of one version or build: they travel in one message."""
    max_key_bytes: int = 250
    """Key of a param, tag or metric."""
    max_value_bytes: int = 16 << 10
    """Text of a param, a tag or a reason."""
    max_description_bytes: int = 64 << 10
    """Description of a model, version or build."""
    max_log_line_bytes: int = 256 << 10
    """One log line; publishers split longer ones."""
    max_log_batch_bytes: int = 2 << 20
    """All lines of one AppendLog message."""
    max_log_batch_lines: int = 8_192
    """Lines of one AppendLog message, however short they are."""
    max_message_frames: int = 16_384
    """Frames, and recipe parts, of one WriteChunks message."""
    max_message_refs: int = 65_536
    """Chunks that the recipe parts of one WriteChunks message name."""
    max_metric_points: int = 1_000
    """Points of one LogMetrics."""
    max_full_record_bytes: int = 1 << 20
    """The record of how a version was made, as JSON: it travels in one message."""
    max_packages: int = 5_000
    """Installed packages of an environment."""
    max_attachment_bytes: int = 64 << 20
    """One attachment of a record: a diff, a lock file, a source snapshot."""
    max_attachments: int = 64
    """Attachments of one record."""
    max_note_bytes: int = 64 << 10
    """Text of a note."""
    max_filter_bytes: int = 4 << 10
    """Text of a search expression."""
    max_filter_nodes: int = 250
    """Operators, names and literals of a search expression."""
    search_seconds: float = 5.0
    """Longest that one search may read."""
    upload_lease_us: int = 3600 * 1_000_000
    """An upload lapses when not used for this long."""
    build_lease_us: int = 120 * 1_000_000
    """A build becomes LOST when its publisher is not heard from for this long."""
    delete_keep_us: int = 7 * 24 * 3600 * 1_000_000
    """A deleted version can be had back for this long, unless whoever deletes it says otherwise."""
    collect_every_us: int = 24 * 3600 * 1_000_000
    """Between collections that nobody asks for; 0 for none."""
    collect_dead: float = 0.2
    """Part of a pack that has to be dead for a collection to rewrite it."""
    retention_every_us: int = 3600 * 1_000_000
    """Between applications of a scheduled retention policy; 0 for none."""
    recent_chunk_bytes: int = 96 << 20
    """Raw chunks kept between their arrival and the recipe that names them, for all uploads together."""
    seals_in_flight: int = 2
    """Packs of one upload that may wait for the disk while the next one fills."""
