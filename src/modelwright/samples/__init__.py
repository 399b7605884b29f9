"""Sample data that comes with the package; each folder's README states its licence."""
