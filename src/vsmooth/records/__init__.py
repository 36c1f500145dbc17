"""Records of runs and evaluations: plain values, read and written, that reports and commands share."""
