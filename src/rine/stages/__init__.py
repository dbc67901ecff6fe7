"""One file a stage of `dvc.yaml`: read, call the library, write. No science in here."""
