"""Random numbers that follow from a seed, a stream and a step, and from nothing else.

A source of sequences draws each batch afresh from these three. It has no state to save, so a
training that is killed goes on with the very batches it would have seen.
"""

import numpy as np

TRAINING, VALIDATION, TEST = 0, 1, 2
"""Streams: their numbers have nothing in common, whatever the seed."""


def step_generator(seed: int, stream: int, step: int = 0) -> np.random.Generator:
    """Generator of one step's draws.

    Counter-based (Philox): the seed and the stream are the key, the step is the counter's highest
    word, so that no two steps share numbers and none has to be drawn to reach the next.
    """
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, 0, step]))
