"""Runners: they take queued builds, execute them in clean work folders, publish, and clean up."""
