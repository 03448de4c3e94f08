"""What is looked at before anything runs: the files and folders of the user's that settings name."""

from snakemake.io import contains_wildcard

for dataset in DATASETS:
    root = source(dataset).root
    if not is_demo(root) and not os.path.isdir(root):
        key = "unlabelled" if dataset == UNLABELLED else f"datasets.{dataset}"
        expanded = os.path.expandvars(os.path.expanduser(root))
        present = "a file" if os.path.isfile(root) else "nothing"
        raise WorkflowError(
            f"{key}.root: expected a folder of videos, found {present} at {root} "
            f"(from {os.getcwd()}); correct the path in the configuration"
            + (
                f" (~ and $ stand for themselves: {expanded})"
                if expanded != root
                else ""
            )
        )
if settings.percepts.weights and not os.path.isfile(settings.percepts.weights):
    raise WorkflowError(
        f"percepts.weights: expected a file of weights, found none at {settings.percepts.weights}; "
        "download it, or correct the path in the configuration"
    )
test_file = settings.mnist.test_file
if test_file is not None and not os.path.isfile(test_file):
    raise WorkflowError(
        f"mnist.test_file: expected a file of sequences, found none at '{test_file}'; correct the "
        "path in the configuration, or leave the setting out"
    )

named_files = {
    "percepts.weights": [settings.percepts.weights or ""],
    "mnist.source": digit_files(),
    "mnist.test_file": [test_file or ""],
}
for dataset, labelled in settings.datasets.items():
    key = "splits" if labelled.kind == "folders" else "lists"
    files = find_lists(source(dataset)) if labelled.kind == "folders" else []
    absent = [path for path in files if not os.path.isfile(path)]
    if absent:
        raise WorkflowError(
            f"datasets.{dataset}.{key}: expected a list of videos, found no file at {absent[0]} "
            f"(from {os.getcwd()}); correct the path in the configuration"
        )
    named_files[f"datasets.{dataset}.{key}"] = split_lists(dataset)
for key, files in named_files.items():
    for path in filter(contains_wildcard, files):
        raise WorkflowError(
            f"{key}: expected a path without a name in braces, which Snakemake takes for a wildcard, "
            f"found {path}; move the file, or make a link to it and name that"
        )
