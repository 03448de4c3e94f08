"""Inputs and settings of the encoder-decoders: pixels, percepts, and the comparisons."""

CONVLSTMS = ["convlstm", "lstm_equal_parameters", "lstm_equal_time"]


def count_sequence_frames(corpus):
    """Return the frames of a sequence of pixels: input frames and future frames."""
    model = getattr(settings.pretraining, corpus)
    return model.input_frames + model.future_frames


def prediction_files(test):
    """List the predictions of every encoder-decoder of pixels on a set of test sequences."""
    return [
        f"results/predict/{test}/{variant}.h5"
        for variant in settings.pretraining.variants
    ]


def pretraining_corpus(dataset, split, stream):
    """Return the corpus on which the encoder-decoders for a split are trained.

    All splits share a corpus only if neither its videos nor its percepts depend on the split.
    """
    is_unlabelled = settings.pretraining.percepts.videos == ["unlabelled"]
    if is_unlabelled and stream_features(dataset, split, stream) == "rgb":
        return UNLABELLED
    return f"{dataset}_split{split}"


def pretrained_file(dataset, split, stream, variant):
    """Return the encoder-decoder of percepts that serves a split."""
    corpus = pretraining_corpus(dataset, split, stream)
    return f"results/pretrain/{corpus}/{stream}/{variant}.h5"


def pretraining_settings(wildcards):
    """Return the settings of a corpus's sequences and models, by option name."""
    source = {"mnist": "mnist", "patches": "patches"}.get(wildcards.corpus, "percepts")
    section = getattr(settings.pretraining, source)
    values = {"source": source, "model": narrow(section, EncoderDecoderSettings)}
    if source == "mnist":
        return values | {"mnist": narrow(settings.mnist, MovingDigits)}
    if source == "patches":
        return values | {"subtract_mean": section.subtract_mean}
    return values | {
        "stream": wildcards.stream,
        "validation_fraction": section.validation_fraction,
    }


def pretraining_inputs(wildcards):
    """Return the input files of pretraining on a corpus."""
    if wildcards.corpus == "mnist":
        return {"digits": digit_files()}
    if wildcards.corpus == "patches":
        return {"patches": "results/sequences/patches.h5"}
    if wildcards.corpus == UNLABELLED:
        return {"unlabelled_percepts": percept_files(UNLABELLED, "rgb")}
    dataset, split = wildcards.corpus.split("_split")
    features = stream_features(dataset, split, wildcards.stream)
    inputs = {}
    if "unlabelled" in settings.pretraining.percepts.videos:
        inputs["unlabelled_percepts"] = percept_files(UNLABELLED, features)
    if "training" in settings.pretraining.percepts.videos:
        inputs["labelled_percepts"] = percept_files(dataset, features)
        inputs["videos"] = f"results/videos/{dataset}.h5"
    return inputs


def pretraining_input_options(wildcards, input):
    """Return the input files of pretraining, and the split, as options."""
    roles = [role for role in pretraining_inputs(wildcards) if role != "digits"]
    split = wildcards.corpus.split("_split")[1:] if "videos" in roles else []
    return " ".join(
        [input_options(input, *roles), *(["--split", *split] if split else [])]
    )


def capacity_model(hidden_size):
    """Return the settings of an autoencoder with this hidden size."""
    section = settings.capacity
    changed = {
        "hidden_size": hidden_size,
        "num_layers": section.num_layers,
        "training": section.training,
    }
    return settings.pretraining.mnist.model_copy(update=changed)


def convlstm_model(name):
    """Return the settings of the ConvLSTM, or of an LSTM that is compared with it."""
    if name == "lstm_equal_time":
        return settings.pretraining.mnist
    section = settings.convlstm
    changed = {"num_layers": section.num_layers, "training": section.training}
    if name == "convlstm":
        changed |= {
            "hidden_size": section.channels,
            "kernel_size": section.kernel_size,
            "patch_size": section.patch_size,
        }
    return settings.pretraining.mnist.model_copy(update=changed)


def matched_models(wildcards):
    """Return the models whose size or training time an LSTM matches, by option name."""
    convlstm = "results/convlstm/convlstm.h5"
    return {
        "convlstm": {},
        "lstm_equal_parameters": {"match_parameters_of": convlstm},
        "lstm_equal_time": {
            "match_seconds_of": convlstm,
            "speed_reference": "results/pretrain/mnist/pixels/composite.h5",
        },
    }[wildcards.compared]


def comparison_files(folder, wildcards):
    """List the files of a comparison's models, in the order of its table."""
    names = (
        settings.capacity.hidden_sizes
        if wildcards.comparison == "capacity"
        else CONVLSTMS
    )
    return [f"{folder.format(wildcards.comparison)}/{name}.h5" for name in names]
