"""Bundles by name and version, in a folder or behind a URL."""
