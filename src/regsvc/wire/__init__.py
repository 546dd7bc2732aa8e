"""Between wire messages and plain values, for both ends of the wire."""
