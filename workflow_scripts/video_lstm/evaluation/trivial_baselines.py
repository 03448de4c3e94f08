"""What every model that predicts frames is held against."""

TRIVIAL_BASELINES = ("copy_last_frame", "mean_frame")
"""The last frame that was seen; the best constant image. Their errors' names begin with these."""
