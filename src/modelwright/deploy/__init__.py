"""Bundle -> files for a place to run."""
