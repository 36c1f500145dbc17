"""Students and their teachers."""
