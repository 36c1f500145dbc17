"""The report on accuracy under attack."""
