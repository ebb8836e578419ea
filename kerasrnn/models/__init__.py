"""Ready models, one file per task shape."""
