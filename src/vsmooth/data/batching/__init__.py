"""From images at rest to batches."""
