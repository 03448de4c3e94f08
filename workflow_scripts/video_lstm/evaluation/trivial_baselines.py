"""Trivial baselines of frame prediction."""

TRIVIAL_BASELINES = ("copy_last_frame", "mean_frame")
"""Predict the last input frame, or the mean frame; also prefixes of the names of their errors."""
