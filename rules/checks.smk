"""Checks before anything runs: the run's folder, and the files that the settings name."""

from snakemake.io import contains_wildcard


def check_writable():
    """Check that the run can write to its folder."""
    for folder in (os.getcwd(), os.path.abspath(RESULTS)):
        if os.path.exists(folder) and not os.access(folder, os.W_OK):
            raise WorkflowError(
                f"{folder}: expected a folder to write to, found one that is read-only here; make it "
                "writable, or use --directory for a folder of your own"
            )


def check_root(dataset):
    """Check that the root of a data set is a folder."""
    root = data_source(dataset).root
    if is_rendered(dataset) or os.path.isdir(root):
        return
    key = "unlabelled" if dataset == UNLABELLED else f"datasets.{dataset}"
    expanded = os.path.expandvars(os.path.expanduser(root))
    present = "a file" if os.path.isfile(root) else "nothing"
    raise WorkflowError(
        f"{key}.root: expected a folder of videos, found {present} at {root} "
        f"(from {os.getcwd()}); correct the path in the configuration"
        + (f" (~ and $ stand for themselves: {expanded})" if expanded != root else "")
    )


def check_named_files():
    """Check that the weights and the test sequences exist."""
    weights, test_file = settings.percepts.weights, settings.mnist.test_file
    if weights and not os.path.isfile(weights):
        raise WorkflowError(
            f"percepts.weights: expected a file of weights, found none at {weights}; "
            "download it, or correct the path in the configuration"
        )
    features = settings.percepts.features
    if features:
        for dataset in DATASETS:
            if not os.path.isdir(os.path.join(features, dataset)):
                raise WorkflowError(
                    f"percepts.features: expected a folder {dataset} with the features of its "
                    f"videos, found none in {features}; correct the path, or add it"
                )
    if test_file is not None and not os.path.isfile(test_file):
        raise WorkflowError(
            f"mnist.test_file: expected a file of sequences, found none at '{test_file}'; correct "
            "the path in the configuration, or leave the setting out"
        )


def split_lists_setting(dataset):
    """Return the name of the setting that names a data set's lists."""
    key = "splits" if settings.datasets[dataset].kind == "folders" else "lists"
    return f"datasets.{dataset}.{key}"


def check_split_lists(dataset):
    """Check that the lists of a data set in class folders exist."""
    if settings.datasets[dataset].kind != "folders":
        return
    for path in find_lists(data_source(dataset)):
        if not os.path.isfile(path):
            raise WorkflowError(
                f"{split_lists_setting(dataset)}: expected a list of videos, found no file at "
                f"{path} (from {os.getcwd()}); correct the path in the configuration"
            )


def check_braces():
    """Check that no path of an input file looks like a wildcard to Snakemake."""
    paths_by_setting = {
        "percepts.weights": [settings.percepts.weights or ""],
        "mnist.source": digit_files(),
        "mnist.test_file": [settings.mnist.test_file or ""],
        **{
            split_lists_setting(dataset): split_list_files(dataset)
            for dataset in settings.datasets
        },
    }
    for setting, paths in paths_by_setting.items():
        for path in filter(contains_wildcard, paths):
            raise WorkflowError(
                f"{setting}: expected a path without a name in braces, which Snakemake takes for a "
                f"wildcard, found {path}; move the file, or make a link to it and name that"
            )


def check_files():
    """Check the folder of the run, and every file and folder that the settings name."""
    check_writable()
    for dataset in DATASETS:
        check_root(dataset)
    check_named_files()
    for dataset in settings.datasets:
        check_split_lists(dataset)
    check_braces()


check_files()
