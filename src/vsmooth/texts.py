"""Texts that end in records and pages."""

from __future__ import annotations


def check_unicode(what: str, text: str) -> None:
    """``ValueError`` for text with bytes that are none in UTF-8, as names of files may have: no record can hold it."""
    if text.encode(errors="ignore").decode() != text:
        raise ValueError(f"{what} is not valid Unicode text, got {text!r}: rename it")
