"""Random number generators that depend only on a seed, a stream and a step.

A source of sequences has no random state to save: a training that is interrupted and resumed
draws the same batches.
"""

import numpy as np

TRAINING, VALIDATION, TEST = 0, 1, 2
"""Independent streams of random numbers."""


def step_generator(seed: int, stream: int, step: int = 0) -> np.random.Generator:
    """Return the random number generator of one step.

    It is counter-based (Philox): the seed and the stream are the key, and the step is the highest
    word of the counter, so that steps do not overlap and can be generated in any order.
    """
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, 0, step]))
