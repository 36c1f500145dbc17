"""The report on corrupted images."""
