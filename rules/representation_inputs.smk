"""Inputs and settings of the frozen representations."""


def encoder_inputs(wildcards):
    """Return the percepts and the encoder; baselines need the index instead.

    They standardise percepts by the training videos, and the index names these.
    """
    labelled, split, stream = wildcards.labelled, wildcards.split, wildcards.stream
    inputs = {
        "percepts": percept_files(labelled, stream_features(labelled, split, stream))
    }
    if wildcards.encoder in get_args(BaselineRepresentation):
        return inputs | {"videos": f"results/videos/{labelled}.h5"}
    return inputs | {
        "pretrained": pretrained_file(labelled, split, stream, wildcards.encoder)
    }


def encoder_options(wildcards):
    """Return the settings of an encoder as options; a random one needs its size."""
    model = settings.pretraining.percepts
    size = {
        "hidden_size": model.hidden_size,
        "num_layers": model.num_layers,
        "seed": settings.seed,
    }
    return settings_options(
        device=settings.device,
        dataset=wildcards.labelled,
        split=wildcards.split,
        stream=wildcards.stream,
        variant=wildcards.encoder,
        block_frames=settings.finetuning.block_frames,
        block_stride=settings.finetuning.block_stride,
        **(size if wildcards.encoder == "random" else {}),
    )


def list_encoders(stream):
    """List the encoders whose representations are scored; only stream `motion` has movement."""
    untrained = get_args(BaselineRepresentation)
    if stream != "motion":
        untrained = [name for name in untrained if name != "movement"]
    return [*untrained, *settings.pretraining.variants]


def count_draws(stream):
    """Return how many labelled subsets are drawn per number of labels, as for lstm_baseline."""
    return [
        settings.finetuning.settings_of("lstm_baseline", stream, labels).num_draws
        for labels in settings.finetuning.labels
    ]


def representation_file(dataset, split, stream, variant):
    """Return the path of a data set encoded by a variant."""
    return f"results/representations/{dataset}/split{split}/{stream}/{variant}.h5"


def gallery_inputs(dataset):
    """Return the inputs of the map and the retrieval figure, of the first split."""
    stream = "motion" if "motion" in settings.streams else settings.streams[0]
    run = (dataset, settings.datasets[dataset].use_splits[0], stream)
    return {
        "videos": f"results/videos/{dataset}.h5",
        "percepts": representation_file(*run, "percepts"),
        "encoded": representation_file(*run, figure_variant("features") or "random"),
        "scores": "results/representations/{}/split{}/{}.csv".format(*run),
        "clips": clip_files(dataset),
    }
