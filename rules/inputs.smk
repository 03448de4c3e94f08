"""Input files of several stages: of data sets and their shards, and the names of what is run."""

import functools

from video_lstm.video.layouts import find_lists
from video_lstm.video.overlap import may_share_videos
from video_lstm.video.file_scan import compute_fingerprints, stat_files

# Sequences of pixels to test on: with the trained number of digits, and with other numbers.
OTHER_DIGITS = [digits for digits in (1, 2, 3) if digits != settings.mnist.num_digits]
TESTS = ["mnist", *(f"mnist_{digits}" for digits in OTHER_DIGITS), "patches"]
CLASSIFIERS = ["single_frame", "lstm_baseline", *settings.pretraining.variants]


def dataset_settings(dataset):
    """Return the section of the settings for a data set or for the unlabelled videos."""
    return settings.unlabelled if dataset == UNLABELLED else settings.datasets[dataset]


def is_rendered(dataset):
    """Return whether the pipeline itself renders the videos of a data set."""
    root = Path(dataset_settings(dataset).root)
    return settings.demo is not None and Path(DEMO) in root.parents


def data_source(dataset):
    """Return where the videos of a data set are."""
    section = dataset_settings(dataset)
    if dataset == UNLABELLED:
        source = VideoSource(
            kind="unlabelled", root=section.root, follow_links=section.follow_links
        )
    else:
        source = narrow(section, VideoSource)
    if is_rendered(dataset):
        root = Path(RESULTS, Path(section.root).relative_to("results"))
        source = source.model_copy(update={"root": str(root)})
    return source


def count_shards(dataset):
    """Return into how many jobs the probing and the extraction of a data set are split."""
    return dataset_settings(dataset).num_shards


@functools.cache
def list_video_files(dataset):
    """List the files of a data set, with their sizes and modification times."""
    source = data_source(dataset)
    return stat_files(Path(source.root), source.follow_links)


@functools.cache
def fingerprint_all_shards(dataset):
    """Return a digest of names, sizes and modification times for each shard of a data set."""
    root = Path(data_source(dataset).root)
    return compute_fingerprints(root, count_shards(dataset), list_video_files(dataset))


def fingerprint_shard(dataset, shard):
    """Return the digest of a shard's files, so that changed videos are noticed when planning."""
    if is_rendered(dataset):
        return "rendered"
    return fingerprint_all_shards(dataset)[int(shard)]


@functools.cache
def fingerprint_features(dataset):
    """Return a digest of the user's feature files, so that changed ones are noticed when planning."""
    folder = Path(settings.percepts.features, dataset)
    return compute_fingerprints(folder, 1, stat_files(folder, follow_links=True))


@functools.cache
def may_overlap_unlabelled(dataset):
    """Return whether videos of a labelled set may be among the unlabelled videos."""
    unlabelled_root, labelled_root = (
        Path(data_source(name).root) for name in (UNLABELLED, dataset)
    )
    return may_share_videos(
        unlabelled_root,
        list_video_files(UNLABELLED),
        labelled_root,
        list_video_files(dataset),
    )


def sets_overlapping_unlabelled():
    """List the labelled sets whose test videos are left out of the unlabelled videos.

    Sets that have no file in common with the unlabelled videos are not listed, so that their new
    splits and videos do not change the clips. (`ancient` would not help: Snakemake then overlooks
    changed parameters when the index is written again.)
    """
    return [name for name in settings.datasets if may_overlap_unlabelled(name)]


def held_out_split_options():
    """Return the splits of these sets that are run, as an option."""
    splits = [
        f"{name}:{split}"
        for name in sets_overlapping_unlabelled()
        for split in settings.datasets[name].use_splits
    ]
    return f"--use-splits {' '.join(splits)}" if splits else ""


def split_list_files(dataset):
    """List the user's lists of classes and splits; the job reports missing official lists."""
    try:
        return [str(path) for path in find_lists(data_source(dataset))]
    except UserError:
        return []


def probed_files(dataset):
    """List the probing results of a data set."""
    return [
        f"results/probed/{dataset}/{shard}.h5" for shard in range(count_shards(dataset))
    ]


def clip_files(dataset):
    """List the clip artifacts of a data set."""
    return [
        f"results/clips/{dataset}/{shard}.h5" for shard in range(count_shards(dataset))
    ]


def flow_files(dataset):
    """List the flow artifacts of a data set."""
    return [
        f"results/flow/{dataset}/{shard}.h5" for shard in range(count_shards(dataset))
    ]


def stream_features(dataset, split, stream):
    """Return which percepts a stream reads; flow percepts come from a convnet of the split."""
    return "rgb" if stream in ("rgb", "motion") else f"{stream}_{dataset}_split{split}"


def percept_files(dataset, features):
    """List the percept artifacts of a data set."""
    return [
        f"results/percepts/{dataset}/{features}/{shard}.h5"
        for shard in range(count_shards(dataset))
    ]


def digit_files():
    """List the user's MNIST files, if the configuration names them."""
    folder = settings.mnist.source
    if folder == "sklearn":
        return []
    return sorted(map(str, Path(folder).glob("*-idx?-ubyte*")))


def list_runs():
    """List every combination of data set, split and stream."""
    return [
        (dataset, split, stream)
        for dataset, labelled in settings.datasets.items()
        for split in labelled.use_splits
        for stream in settings.streams
    ]


def figure_variant(figure):
    """Return the variant whose features or activity are drawn.

    Features are clearest for a model with both decoders; activity needs a decoder of the future.
    """
    order = ["composite", "composite_conditional_future", "future_predictor"]
    order += ["conditional_future_predictor"]
    order += ["autoencoder", "conditional_autoencoder"] if figure == "features" else []
    return next((name for name in order if name in settings.pretraining.variants), None)
