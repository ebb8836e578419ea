"""SavedModels: written, versioned, converted."""
