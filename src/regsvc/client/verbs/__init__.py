"""The methods of `Client`, a module a subject."""
