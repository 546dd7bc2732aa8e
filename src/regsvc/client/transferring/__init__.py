"""Moving whole parts of a registry: to another server, into an archive file, from one, and continuously."""
