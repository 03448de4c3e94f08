"""Inputs and settings of the classifiers, also of those on hours of unlabelled video."""

HOURS = settings.unlabelled_hours


def pretrained_files(wildcards):
    """List the encoder-decoder that a classifier starts from; empty for random weights."""
    if wildcards.variant in ("single_frame", "lstm_baseline"):
        return []
    names = ("labelled", "split", "stream", "variant")
    return [pretrained_file(*(wildcards[name] for name in names))]


def classifier_inputs(wildcards):
    """Return a classifier's training data and pretrained weights."""
    return {
        "videos": f"results/videos/{wildcards.labelled}.h5",
        "percepts": percept_files(
            wildcards.labelled,
            stream_features(wildcards.labelled, wildcards.split, wildcards.stream),
        ),
        "pretrained": pretrained_files(wildcards),
    }


def classifier_options(wildcards, choice=None, **values):
    """Return the settings of a classifier as options, with one of the choices of settings."""
    labels = wildcards.labels if wildcards.labels == "all" else int(wildcards.labels)
    return settings_options(
        device=settings.device,
        dataset=wildcards.labelled,
        split=wildcards.split,
        stream=wildcards.stream,
        variant=wildcards.variant,
        labels=wildcards.labels,
        finetuning=settings.finetuning.settings_of(
            wildcards.variant, wildcards.stream, labels, choice
        ),
        hidden_size=settings.pretraining.percepts.hidden_size,
        num_layers=settings.pretraining.percepts.num_layers,
        seed=settings.seed,
        checkpoints=CHECKPOINTS,
        **values,
    )


def finetuned_file(dataset, split, stream, variant, labels):
    """Return the path of a classifier on a labelled subset."""
    return f"results/finetune/{dataset}/split{split}/{stream}/{variant}/{labels}.h5"


def finetuned_files():
    """List every classifier on every labelled subset."""
    return [
        finetuned_file(*run, variant, labels)
        for run in list_runs()
        for variant in CLASSIFIERS
        for labels in settings.finetuning.labels
    ]


def validated_files(labelled, split, stream, variant, labels):
    """List a classifier on validation videos, with each choice of settings."""
    choices = range(max(len(settings.finetuning.choices), 1))
    folder = f"results/validate/{labelled}/split{split}/{stream}/{variant}/{labels}"
    return [f"{folder}/{choice}.h5" for choice in choices]


def validation_inputs(wildcards):
    """List the validation results that choose a classifier's settings, if there are choices."""
    names = ("labelled", "split", "stream", "variant", "labels")
    classifier = {name: wildcards[name] for name in names}
    return validated_files(**classifier) if settings.finetuning.choices else []


def fused_classifiers(labelled, split, streams, variant, labels):
    """List the classifiers of one variant whose scores are fused, one per stream."""
    return [(labelled, split, stream, variant, labels) for stream in streams.split("+")]


def list_fused_streams():
    """List which streams are fused: the first with each of the others, and all together."""
    first, *others = settings.streams
    return [[first, stream] for stream in others] + [settings.streams] * (
        len(others) > 1
    )


def list_fused_runs():
    """List every data set and split with the streams that are fused."""
    return [
        (dataset, split, streams)
        for dataset, labelled in settings.datasets.items()
        for split in labelled.use_splits
        for streams in list_fused_streams()
    ]


def fused_file(dataset, split, streams, variant, labels):
    """Return the path of the fused scores of a variant's classifiers."""
    return (
        f"results/fuse/{dataset}/split{split}/{'+'.join(streams)}/{variant}/{labels}.h5"
    )


def trained_variants(*variants):
    """Return those of the variants that have classifiers."""
    return [variant for variant in variants if variant in CLASSIFIERS]


def paper_table_files(number):
    """List the classifiers in table 1, 3 or 4."""
    if number == "1":
        variants = trained_variants("single_frame", "lstm_baseline", FUSED)
        return [
            finetuned_file(*run, variant, "all")
            for run in list_runs()
            for variant in variants
        ]
    if number == "3":
        return [
            finetuned_file(dataset, split, stream, variant, labels)
            for dataset, split, stream in list_runs()
            if stream == settings.streams[0]
            for variant in CLASSIFIERS[1:]
            for labels in (settings.datasets[dataset].num_small_set_labels, "all")
        ]
    return [
        file(*run, variant, "all")
        for file, runs in (
            (finetuned_file, list_runs()),
            (fused_file, list_fused_runs()),
        )
        for run in runs
        for variant in trained_variants(FUSED)
    ]


def hours_stream():
    """Return the stream whose model is pretrained on several amounts of video."""
    motion = "motion" if "motion" in settings.streams else settings.streams[0]
    return HOURS.stream or motion


def hours_runs():
    """List the data sets and splits of the series, with the stream."""
    return [run for run in list_runs() if run[2] == hours_stream()]


def hours_file(corpus, stream, hours, name):
    """Return the path of an encoder-decoder of a corpus, or of a classifier of a split."""
    return f"results/unlabelled_hours/{corpus}/{stream}/{hours:g}/{name}.h5"


def hours_classifiers(variant):
    """List the classifiers trained on all unlabelled video, for the series' labels."""
    return [
        finetuned_file(*run, variant, labels)
        for run in hours_runs()
        for labels in HOURS.labels
    ]


def pretrained_on_hours():
    """List the encoder-decoders of the series, and the ones of all unlabelled video."""
    series = [
        hours_file(f"{dataset}_split{split}", stream, hours, HOURS.variant)
        for dataset, split, stream in hours_runs()
        for hours in HOURS.hours
    ]
    full = {pretrained_file(*run, HOURS.variant) for run in hours_runs()}
    return series + sorted(full)


def finetuned_on_hours():
    """List the classifiers of the series."""
    series = [
        hours_file(
            f"{dataset}/split{split}", stream, hours, f"{HOURS.variant}/{labels}"
        )
        for dataset, split, stream in hours_runs()
        for hours in HOURS.hours
        for labels in HOURS.labels
    ]
    return series + hours_classifiers(HOURS.variant)
