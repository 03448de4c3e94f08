"""The part that a video has in a split, as the artifacts number it."""

UNUSED, TRAIN, TEST = 0, 1, 2
