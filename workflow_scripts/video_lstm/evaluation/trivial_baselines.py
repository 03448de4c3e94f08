"""Trivial baselines of frame prediction, which every model is compared with."""

TRIVIAL_BASELINES = ("copy_last_frame", "mean_frame")
"""The last input frame, and the best constant image; prefixes of the names of their errors."""
