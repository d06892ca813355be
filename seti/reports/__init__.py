"""Reports on experiments: figures, tables and galleries."""
