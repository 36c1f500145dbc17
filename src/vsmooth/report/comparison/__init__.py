"""The report on labels or teachers that were compared."""
