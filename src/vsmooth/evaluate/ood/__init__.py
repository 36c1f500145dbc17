"""Scores for the detection of outliers: from one forward pass, and through pytorch-ood."""
