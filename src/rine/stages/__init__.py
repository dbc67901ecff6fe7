"""One file a stage of `dvc.yaml`: read, call the library, write. What one stage alone computes stands in its file."""
