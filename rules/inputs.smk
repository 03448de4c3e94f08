"""What each stage is made of: the files of a data set, a stream, a corpus, a classifier."""

import functools

from video_lstm.video.layouts import list_files
from video_lstm.video.overlap import may_share_videos
from video_lstm.video.file_scan import fingerprints, stat_files

# Sequences of pixels to test on: like those that were learned from, and of other numbers of digits.
OTHER_DIGITS = [digits for digits in (1, 2, 3) if digits != settings.mnist.num_digits]
TESTS = ["mnist", *(f"mnist_{digits}" for digits in OTHER_DIGITS), "patches"]
CONVLSTMS = ["convlstm", "lstm_equal_parameters", "lstm_equal_time"]
CLASSIFIERS = ["single_frame", "lstm_baseline", *settings.pretraining.variants]
HOURS = settings.unlabelled_hours


def source(dataset):
    """Where the videos of a data set are."""
    if dataset == UNLABELLED:
        section = settings.unlabelled
        return VideoSource(
            kind="unlabelled", root=section.root, follow_links=section.follow_links
        )
    return narrow(settings.datasets[dataset], VideoSource)


def shards(dataset):
    """How many jobs the probing and the extraction of a data set are cut into."""
    is_pile = dataset == UNLABELLED
    return (settings.unlabelled if is_pile else settings.datasets[dataset]).num_shards


@functools.cache
def listing(dataset):
    """The files of a data set, with their sizes and times."""
    where = source(dataset)
    return stat_files(Path(where.root), where.follow_links)


@functools.cache
def shard_fingerprints(dataset):
    """What the files of each shard of a data set look like from outside."""
    root = Path(source(dataset).root)
    return fingerprints(root, shards(dataset), listing(dataset))


def fingerprint(dataset, shard):
    """What a shard's files of the user's look like from outside.

    So that a video which is added, removed or replaced is seen when the work is planned.
    """
    is_rendered = is_demo(source(dataset).root)
    return "rendered" if is_rendered else shard_fingerprints(dataset)[int(shard)]


@functools.cache
def may_be_unlabelled(dataset):
    """Whether videos of a labelled set may be among the unlabelled ones too."""
    roots = {name: Path(source(name).root) for name in (UNLABELLED, dataset)}
    (pile, files), (own, others) = ((roots[name], listing(name)) for name in roots)
    return may_share_videos(pile, files, own, others)


def sets_shared_with_unlabelled():
    """The labelled sets whose test videos are left out of the unlabelled videos.

    No others: new splits and new videos of a set that has no file in common with the unlabelled
    videos make no other clips. (Not `ancient` either: Snakemake then overlooks changed parameters
    where the index is made again.)
    """
    return [name for name in settings.datasets if may_be_unlabelled(name)]


def shared_set_splits():
    """Their splits that are run, as an option."""
    words = [
        f"{name}:{split}"
        for name in sets_shared_with_unlabelled()
        for split in settings.datasets[name].use_splits
    ]
    return f"--use-splits {' '.join(words)}" if words else ""


def split_lists(dataset):
    """The user's lists of classes and splits; where official ones are missing, the job says so."""
    try:
        return [str(path) for path in list_files(source(dataset))]
    except UserError:
        return []


def probed_shards(dataset):
    """What probing the files of a data set found."""
    return [f"results/probed/{dataset}/{shard}.h5" for shard in range(shards(dataset))]


def clip_shards(dataset):
    """The clips of a data set."""
    return [f"results/clips/{dataset}/{shard}.h5" for shard in range(shards(dataset))]


def flow_shards(dataset):
    """The flow artifacts of a data set."""
    return [f"results/flow/{dataset}/{shard}.h5" for shard in range(shards(dataset))]


def features(dataset, split, stream):
    """Which percepts a stream of a split reads: those of flow come from a convnet of that split."""
    return "rgb" if stream in ("rgb", "motion") else f"{stream}_{dataset}_split{split}"


def percept_shards(dataset, features):
    """The percept artifacts of a data set."""
    return [
        f"results/percepts/{dataset}/{features}/{shard}.h5"
        for shard in range(shards(dataset))
    ]


def sequence_frames(corpus):
    """Frames of a sequence of pixels: those that are read and those that are predicted."""
    model = getattr(settings.pretraining, corpus)
    return model.input_frames + model.future_frames


def digit_files():
    """The user's MNIST files, where the configuration names them."""
    source = settings.mnist.source
    return (
        []
        if source == "sklearn"
        else sorted(map(str, Path(source).glob("*-idx?-ubyte*")))
    )


def corpus(dataset, split, stream):
    """What the encoder-decoders that serve a split learn from.

    One corpus serves every split only where neither it nor its percepts know of one.
    """
    alone = settings.pretraining.percepts.videos == ["unlabelled"]
    if alone and features(dataset, split, stream) == "rgb":
        return UNLABELLED
    return f"{dataset}_split{split}"


def pretraining(wildcards):
    """The source of a corpus's sequences and the section of its models, as the script's options."""
    source = {"mnist": "mnist", "patches": "patches"}.get(wildcards.corpus, "percepts")
    section = getattr(settings.pretraining, source)
    options = {"source": source, "model": narrow(section, EncoderDecoderSettings)}
    if source == "mnist":
        return options | {"mnist": narrow(settings.mnist, MovingDigits)}
    if source == "patches":
        return options | {"subtract_mean": section.subtract_mean}
    return options | {
        "stream": wildcards.stream,
        "validation_fraction": section.validation_fraction,
    }


def pretraining_inputs(wildcards):
    """What a corpus is made of."""
    if wildcards.corpus == "mnist":
        return {"digits": digit_files()}
    if wildcards.corpus == "patches":
        return {"patches": "results/sequences/patches.h5"}
    if wildcards.corpus == UNLABELLED:
        return {
            "unlabelled_percepts": percept_shards(UNLABELLED, "rgb"),
        }
    dataset, split = wildcards.corpus.split("_split")
    kind = features(dataset, split, wildcards.stream)
    inputs = {}
    if "unlabelled" in settings.pretraining.percepts.videos:
        inputs["unlabelled_percepts"] = percept_shards(UNLABELLED, kind)
    if "training" in settings.pretraining.percepts.videos:
        inputs["labelled_percepts"] = percept_shards(dataset, kind)
        inputs["videos"] = f"results/videos/{dataset}.h5"
    return inputs


def pretraining_files(wildcards, input):
    """The same as options of the script."""
    roles = [role for role in pretraining_inputs(wildcards) if role != "digits"]
    split = wildcards.corpus.split("_split")[1:] if "videos" in roles else []
    return " ".join([options(input, *roles), *(["--split", *split] if split else [])])


def pretrained(wildcards):
    """The encoder-decoder that a classifier starts from; none for those that start at random."""
    if wildcards.variant in ("single_frame", "lstm_baseline"):
        return []
    which = corpus(wildcards.labelled, wildcards.split, wildcards.stream)
    return [f"results/pretrain/{which}/{wildcards.stream}/{wildcards.variant}.h5"]


def classifier_inputs(wildcards):
    """What a classifier is trained on, and from."""
    return {
        "videos": f"results/videos/{wildcards.labelled}.h5",
        "percepts": percept_shards(
            wildcards.labelled,
            features(wildcards.labelled, wildcards.split, wildcards.stream),
        ),
        "pretrained": pretrained(wildcards),
    }


def encoder_inputs(wildcards):
    """What is encoded, and by what; the training videos, where percepts are standardised by them."""
    labelled, split, stream = wildcards.labelled, wildcards.split, wildcards.stream
    inputs = {"percepts": percept_shards(labelled, features(labelled, split, stream))}
    if wildcards.encoder in get_args(BaselineRepresentation):
        return inputs | {"videos": f"results/videos/{labelled}.h5"}
    folder = f"results/pretrain/{corpus(labelled, split, stream)}/{stream}"
    return inputs | {"pretrained": f"{folder}/{wildcards.encoder}.h5"}


def encoder_options(wildcards):
    """Settings of an encoder as options; only one with random weights takes its size from here."""
    model = settings.pretraining.percepts
    random = {
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
        **(random if wildcards.encoder == "random" else {}),
    )


def classifier_options(wildcards, choice=None, **values):
    """Settings of a classifier as options, with one of the choices of settings."""
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
        **values,
    )


def finetuned_file(dataset, split, stream, variant, labels):
    """One classifier on one labelled subset."""
    return f"results/finetune/{dataset}/split{split}/{stream}/{variant}/{labels}.h5"


def finetuned_files():
    """Every classifier of every subset of labels."""
    return [
        finetuned_file(*run, variant, labels)
        for run in runs()
        for variant in CLASSIFIERS
        for labels in settings.finetuning.labels
    ]


def validated_files(labelled, split, stream, variant, labels):
    """A classifier on validation videos, with each choice of settings."""
    choices = range(max(len(settings.finetuning.choices), 1))
    folder = f"results/validate/{labelled}/split{split}/{stream}/{variant}/{labels}"
    return [f"{folder}/{choice}.h5" for choice in choices]


def chosen_by(wildcards):
    """What the settings of a classifier are chosen by, where there are choices."""
    names = ("labelled", "split", "stream", "variant", "labels")
    classifier = {name: wildcards[name] for name in names}
    return validated_files(**classifier) if settings.finetuning.choices else []


def fused_classifiers(labelled, split, streams, variant, labels):
    """The classifiers of one variant whose scores are fused, one a stream."""
    return [(labelled, split, stream, variant, labels) for stream in streams.split("+")]


def paper_table_files(number):
    """The classifiers that table 1, 3 or 4 is made of."""
    composite = [name for name in CLASSIFIERS if name == FUSED]
    if number == "1":
        variants = ["single_frame", "lstm_baseline", *composite]
        return [
            finetuned_file(*run, variant, "all")
            for run in runs()
            for variant in variants
        ]
    if number == "3":
        return [
            finetuned_file(dataset, split, stream, variant, labels)
            for dataset, split, stream in runs()
            if stream == settings.streams[0]
            for variant in CLASSIFIERS[1:]
            for labels in (
                settings.datasets[dataset].small_set_labels_or_default,
                "all",
            )
        ]
    fused = [
        f"results/fuse/{dataset}/split{split}/{'+'.join(streams)}/{variant}/all.h5"
        for dataset, labelled in settings.datasets.items()
        for split in labelled.use_splits
        for streams in fused_streams()
        for variant in composite
    ]
    return [
        finetuned_file(*run, variant, "all") for run in runs() for variant in composite
    ] + fused


def fused_streams():
    """The streams that are fused: the first with each of the others, and all together."""
    first, *others = settings.streams
    return [[first, other] for other in others] + [settings.streams] * (len(others) > 1)


def predictions_of(test):
    """Every encoder-decoder of pixels on a set of test sequences."""
    return [
        f"results/predict/{test}/{variant}.h5"
        for variant in settings.pretraining.variants
    ]


def prediction_files():
    """Every encoder-decoder of pixels on test sequences like those it learned from."""
    return predictions_of("mnist") + predictions_of("patches")


def watched(figure):
    """The variant whose features or activity are drawn: the one that does the most of what it takes.

    Features are best seen of a model with both decoders, activity needs a future.
    """
    order = ["composite", "composite_conditional_future", "future_predictor"]
    order += ["conditional_future_predictor"]
    order += ["autoencoder", "conditional_autoencoder"] if figure == "features" else []
    return next((name for name in order if name in settings.pretraining.variants), None)


def runs():
    """Every data set, split and stream that is run."""
    return [
        (dataset, split, stream)
        for dataset, labelled in settings.datasets.items()
        for split in labelled.use_splits
        for stream in settings.streams
    ]


def represented(stream):
    """The encoders whose representations are scored; movement is of the stream `motion`."""
    untrained = get_args(BaselineRepresentation)
    if stream != "motion":
        untrained = [name for name in untrained if name != "movement"]
    return [*untrained, *settings.pretraining.variants]


def draws_by_labels(stream):
    """How often labelled videos are drawn, for each number of labels: as often as for lstm_baseline."""
    return [
        settings.finetuning.settings_of("lstm_baseline", stream, labels).num_draws
        for labels in settings.finetuning.labels
    ]


def representation_file(dataset, split, stream, variant):
    """The videos of a data set, encoded."""
    return f"results/representations/{dataset}/split{split}/{stream}/{variant}.h5"


def gallery_inputs(dataset):
    """What the page and the figure show of a data set: its first split, by two representations."""
    stream = "motion" if "motion" in settings.streams else settings.streams[0]
    run = (dataset, settings.datasets[dataset].use_splits[0], stream)
    return {
        "videos": f"results/videos/{dataset}.h5",
        "percepts": representation_file(*run, "percepts"),
        "encoded": representation_file(*run, watched("features") or "random"),
        "scores": "results/representations/{}/split{}/{}.csv".format(*run),
        "clips": clip_shards(dataset),
    }


def capacity_model(hidden_size):
    """An autoencoder of so many units."""
    section = settings.capacity
    changed = {
        "hidden_size": hidden_size,
        "num_layers": section.num_layers,
        "training": section.training,
    }
    return settings.pretraining.mnist.model_copy(update=changed)


def convlstm_model(name):
    """The ConvLSTM, or an LSTM beside it."""
    section = settings.convlstm
    changed = {"num_layers": section.num_layers, "training": section.training}
    if name == "convlstm":
        changed |= {
            "hidden_size": section.channels,
            "kernel_size": section.kernel_size,
            "patch_size": section.patch_size,
        }
    return settings.pretraining.mnist.model_copy(update=changed)


def compared_with(wildcards):
    """The models that an LSTM is made as large as, or trained for as long as."""
    other, own = (f"results/convlstm/{name}.h5" for name in CONVLSTMS[:2])
    large = {"match_parameters_of": other}
    return {
        "convlstm": {},
        "lstm_equal_parameters": large,
        "lstm_equal_time": large | {"match_seconds_of": other, "speed_reference": own},
    }[wildcards.compared]


def compared_files(folder, wildcards):
    """The files of a comparison's models, in the order of its table."""
    names = (
        settings.capacity.hidden_sizes
        if wildcards.comparison == "capacity"
        else CONVLSTMS
    )
    return [f"{folder.format(wildcards.comparison)}/{name}.h5" for name in names]


def hours_stream():
    """The stream whose model is pretrained on several amounts of video."""
    motion = "motion" if "motion" in settings.streams else settings.streams[0]
    return HOURS.stream or motion


def hours_runs():
    """The data sets and splits of the series, with the stream."""
    return [run for run in runs() if run[2] == hours_stream()]


def hours_file(corpus, stream, hours, name):
    """A model of the series: an encoder-decoder of a corpus, or a classifier of a split."""
    return f"results/unlabelled_hours/{corpus}/{stream}/{hours:g}/{name}.h5"


def pretrained_on_hours():
    """The encoder-decoders of the series; the last is the one of all unlabelled video."""
    series = [
        hours_file(f"{dataset}_split{split}", stream, hours, HOURS.variant)
        for dataset, split, stream in hours_runs()
        for hours in HOURS.hours
    ]
    whole = {
        f"results/pretrain/{corpus(dataset, split, stream)}/{stream}/{HOURS.variant}.h5"
        for dataset, split, stream in hours_runs()
    }
    return series + sorted(whole)


def finetuned_on_hours():
    """The classifiers of the series."""
    series = [
        hours_file(
            f"{dataset}/split{split}", stream, hours, f"{HOURS.variant}/{labels}"
        )
        for dataset, split, stream in hours_runs()
        for hours in HOURS.hours
        for labels in HOURS.labels
    ]
    return series + hours_classifiers(HOURS.variant)


def hours_classifiers(variant):
    """The classifiers of the whole run, on as many labels as the series has."""
    return [
        finetuned_file(*run, variant, labels)
        for run in hours_runs()
        for labels in HOURS.labels
    ]
