"""What stages hand each other on disk: Dataset, Checkpoint, Report, Bundle.

Each is a folder with a `manifest.json` (kind, schema, key, inputs, configuration, versions, seed,
timings, sha256 of every file), written under a temporary name and renamed when whole. The key is
the hash of what determines the content, so a stage whose key is in the store is not run again.
"""
