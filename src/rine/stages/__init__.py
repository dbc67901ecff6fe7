"""One file a stage of `dvc.yaml`: read, call the library, write; what is computed stands in the library."""
