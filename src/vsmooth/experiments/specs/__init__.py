"""What a run is, as frozen values."""
