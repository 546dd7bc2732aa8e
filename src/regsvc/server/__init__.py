"""The gRPC server: one thin servicer a service, interceptors, settings, start and drain."""
