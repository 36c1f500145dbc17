"""The report on calibration."""
