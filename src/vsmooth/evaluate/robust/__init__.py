"""Accuracy under attack: columns, their cascade, and whether the attacks can be trusted."""
