"""Every setting of the pipeline: its type, its default, its bounds and what it means.

The one source of all four. A configuration file states what differs from the defaults here; a key
that is not here is refused. Each stage is handed its own section only, so that a changed setting
makes only what depends on it again.
"""
