"""Experiments: specs, runs, comparisons, and the records they leave."""
