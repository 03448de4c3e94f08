"""Every setting of the pipeline: its type, its default, its bounds and what it means.

A configuration file states only what differs from these defaults, and unknown keys are refused.
Each stage receives its own section only, so that a changed setting reruns only the stages that
depend on it.
"""
