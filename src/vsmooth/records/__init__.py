"""What runs and evaluations leave behind: plain values, read and written, that reports and commands share."""
