"""Numbers in the artifacts for the part of a split that a video belongs to."""

UNUSED, TRAIN, TEST = 0, 1, 2
