"""The last layer: features, similarity between classes, input gradients."""
