"""Inspection of finished runs."""
