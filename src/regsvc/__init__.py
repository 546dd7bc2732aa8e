"""regsvc: a model registry as one gRPC service."""

__version__ = "0.1.0"
