"""SavedModels: written, asked, converted."""
