"""Images at rest: in memory or as encoded files, checked where they enter."""
