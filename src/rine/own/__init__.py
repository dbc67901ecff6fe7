"""Pictures of one's own whose truth is known: a model is calibrated and measured on them, without a study."""
