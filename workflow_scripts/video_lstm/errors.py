"""The errors that a person can mend."""


class UserError(Exception):
    """A file or setting is not what a stage needs.

    The message is one line: which file or setting, what was expected, what was found, what to do.
    Scripts print it as it is; the traceback goes to the log only.
    """
