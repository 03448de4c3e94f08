"""Names and units of measures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """Unit of a measure in tables and figures.

    Attributes:
        unit: Unit, in tables.
        axis_label: Name and unit on the axis of a figure.
    """

    unit: str
    axis_label: str


FRAME_MEASURES = {
    "cross_entropy": Measure("nats/frame", "cross-entropy (nats/frame)"),
    "squared_error": Measure("squared error/frame", "squared error per frame"),
    "mse": Measure("squared error/value", "squared error per value"),
    "ssim": Measure("structural similarity", "structural similarity"),
}
"""Measures of predicted frames, in the order of the tables."""

ACCURACY = Measure("percent", "accuracy (%)")


def frame_measure_unit(name: str) -> str:
    """Return the unit of a frame error such as `future_mse`; empty for other names."""
    return next((m.unit for key, m in FRAME_MEASURES.items() if name.endswith(key)), "")
