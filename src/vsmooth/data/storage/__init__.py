"""Stored images: in memory or as encoded files, checked when they are loaded."""
