"""What stage `validate` alone runs beside the models: other ways to read the same tokens, and the embeddings."""
