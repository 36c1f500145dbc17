"""Specifications of runs, as frozen values."""
