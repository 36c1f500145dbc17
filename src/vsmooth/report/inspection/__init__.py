"""The report on virtual classes, class similarity and input gradients."""
