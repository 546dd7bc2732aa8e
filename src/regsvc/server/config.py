"""Settings of a server: flags over environment over a TOML file over defaults."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from regsvc.service.limits import Limits

ENV_PREFIX = "REGSVC_"
_SWITCH = {"1": True, "true": True, "0": False, "false": False}


class SettingInvalid(ValueError):
    """A setting is unknown or has a value that it cannot have; the message names it."""


@dataclass(frozen=True)
class ServerConfig:
    """Every setting has a flag `--the-name`, a variable `REGSVC_THE_NAME` and a key `the_name` in the TOML file."""

    data: Path
    """Directory of the registry; made when it does not exist."""
    listen: str = "127.0.0.1:7070"
    """HOST:PORT, where port 0 picks a free one, or unix:/PATH. Loopback unless asked: there is no login yet."""
    upload_lease: float = 3600.0
    """Seconds after which an unused upload lapses."""
    build_lease: float = 120.0
    """Seconds after which a build whose publisher is not heard from becomes LOST."""
    heartbeat: float = 10.0
    """Seconds between messages on a quiet stream: below the idle limits of common load balancers and NATs."""
    grace: float = 20.0
    """Seconds that uploads in flight get after SIGTERM; Kubernetes kills after 30."""
    max_concurrent_rpcs: int = 4000
    """Calls beyond it are refused with RESOURCE_EXHAUSTED, which bounds memory; idle tails count too."""
    max_bulk_streams: int = 64
    """Uploads, and downloads, that move bytes at once; others wait. Each holds up to about 10 MiB."""
    bulk_wait: float = 10.0
    """Seconds that those others wait, at most four for each slot; then they are refused and told when to ask again."""
    stall_timeout: float = 60.0
    """Seconds for which a client that moves bytes may send, or take, nothing; then its stream ends, to be resumed."""
    max_connection_age: float = 0.0
    """Seconds after which a connection takes no new calls, and its old ones as long again; 0 for no limit."""
    bulk_threads: int = 8
    """Threads that hash, encode, decode and read: more than cores, since they also wait for the disk."""
    control_threads: int = 32
    """Threads that wait for the catalog."""
    tail_threads: int = 4
    """Threads that read for those who follow logs, builds and events."""
    webhook_timeout: float = 15.0
    """Seconds that a webhook's target has to answer."""
    webhook_pace: float = 1.0
    """Factor on the pauses between tries to reach a webhook's target: below 1 tries sooner and gives up sooner."""
    webhook_allow_private: bool = False
    """1 lets webhooks go to loopback, private and link-local addresses: whoever may make one reaches them too."""
    delete_keep: float = 604_800.0
    """Seconds for which a deleted version can be had back, unless whoever deletes it says otherwise."""
    collect_every: float = 86_400.0
    """Seconds between collections, which free what nobody needs; 0 leaves them to `regsvc gc`."""
    collect_dead: float = 0.2
    """Part of a pack that has to be dead for a collection to rewrite it: less frees more and writes more."""
    retention_every: float = 3_600.0
    """Seconds between applications of scheduled retention policies; 0 applies none by itself."""
    log_level: str = "info"
    """debug, info, warning or error; exceptions are written out at debug only."""

    def __post_init__(self) -> None:
        for name in (
            "upload_lease",
            "build_lease",
            "heartbeat",
            "stall_timeout",
            "webhook_timeout",
            "webhook_pace",
        ):
            if not 0 < getattr(self, name) <= 10**9:
                raise SettingInvalid(f"{name} must be more than 0 seconds")
        for name in (
            "grace",
            "bulk_wait",
            "max_connection_age",
            "delete_keep",
            "collect_every",
            "retention_every",
        ):
            if not 0 <= getattr(self, name) <= 10**8:
                raise SettingInvalid(f"{name} must be 0 seconds or more")
        if not 0 <= self.collect_dead <= 1:
            raise SettingInvalid("collect_dead must be from 0 to 1")
        for name in (
            "max_concurrent_rpcs",
            "max_bulk_streams",
            "bulk_threads",
            "control_threads",
            "tail_threads",
        ):
            if getattr(self, name) < 1:
                raise SettingInvalid(f"{name} must be at least 1")
        if self.log_level not in ("debug", "info", "warning", "error"):
            raise SettingInvalid(f"log_level is '{self.log_level}', not debug, info, warning or error")
        if not self.listen.startswith("unix:"):
            host, colon, port = self.listen.rpartition(":")
            if not host or not colon or not port.isdecimal() or int(port) > 65535:
                raise SettingInvalid(f"listen is '{self.listen}', not HOST:PORT or unix:/PATH")

    @property
    def limits(self) -> Limits:
        """The service's limits with these leases."""
        return Limits(
            upload_lease_us=int(self.upload_lease * 1_000_000),
            build_lease_us=int(self.build_lease * 1_000_000),
            delete_keep_us=int(self.delete_keep * 1_000_000),
            collect_every_us=int(self.collect_every * 1_000_000),
            collect_dead=self.collect_dead,
            retention_every_us=int(self.retention_every * 1_000_000),
        )


def load(
    flags: Mapping[str, object], environment: Mapping[str, str], file: Path | None = None
) -> ServerConfig:
    """Merge the sources; None among the flags means not given. Raises `SettingInvalid`."""
    settings: dict[str, object] = {}
    if file is not None:
        settings |= _from_file(file)
    for field in dataclasses.fields(ServerConfig):
        value = environment.get(ENV_PREFIX + field.name.upper())
        if value:
            settings[field.name] = value
    settings |= {name: value for name, value in flags.items() if value is not None}
    if "data" not in settings:
        raise SettingInvalid("data is needed: the directory of the registry")
    return ServerConfig(**{name: _typed(name, value) for name, value in settings.items()})  # type: ignore[arg-type]


def _from_file(file: Path) -> dict[str, object]:
    try:
        read = tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingInvalid(f"the settings file {file} cannot be read: {_why(error)}") from error
    known = {field.name for field in dataclasses.fields(ServerConfig)}
    for name in read:
        if name not in known:
            raise SettingInvalid(f"the settings file {file} has an unknown setting '{name}'")
    return read


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _typed(name: str, value: object) -> object:
    kind = {field.name: field.type for field in dataclasses.fields(ServerConfig)}[name]
    try:
        if kind == "Path":
            return Path(str(value))
        if kind == "float":
            return float(value)  # type: ignore[arg-type]
        if kind == "int":
            return int(value)  # type: ignore[call-overload]
        if kind == "bool":
            return _SWITCH[str(value).lower()]
    except KeyError:
        raise SettingInvalid(f"{name} is '{value}', not 1 or 0") from None
    except (TypeError, ValueError) as error:
        raise SettingInvalid(f"{name} is '{value}', not a number") from error
    return str(value)
