"""Targets for whole stages: snakemake --cores N clips | flow | percepts | encoders | classifiers |
fusion | representations | capacity | convlstm | figures | pages, and the Snakefile's own: tables.
"""

TABLES = expand(
    "results/{table}.csv",
    table=["table1", "table2", "table3", "table4", "accuracy"],
)


localrules:
    clips,
    flow,
    percepts,
    encoders,
    classifiers,
    choices,
    fusion,
    representations,
    capacity,
    unlabelled_hours,
    convlstm,
    figures,
    pages,


rule clips:
    """Clips of every data set."""
    input:
        [file for dataset in DATASETS for file in clip_files(dataset)],


rule flow:
    """Optical flow of every clip."""
    input:
        [file for dataset in DATASETS for file in flow_files(dataset)],


rule percepts:
    """Percepts of every stream."""
    input:
        sorted(
            {
                file
                for run in list_runs()
                for dataset in (run[0], UNLABELLED)
                for file in percept_files(dataset, stream_features(*run))
            }
        ),


rule encoders:
    """Encoder-decoders of percepts, digits and patches."""
    input:
        expand(
            "results/pretrain/{corpus}/pixels/{variant}.h5",
            corpus=["mnist", "patches"],
            variant=settings.pretraining.variants,
        ),
        sorted(
            {
                pretrained_file(*run, variant)
                for run in list_runs()
                for variant in settings.pretraining.variants
            }
        ),


rule classifiers:
    """Every classifier."""
    input:
        finetuned_files(),


rule choices:
    """Accuracy of each choice of settings on validation videos."""
    input:
        "results/choices.csv",


rule fusion:
    """Accuracy of fused streams on every labelled subset, with and without pretraining."""
    input:
        "results/fusion.csv",


rule representations:
    """Scores and maps of frozen representations."""
    input:
        "results/representations.csv",
        "results/representations.html",


rule capacity:
    """Autoencoders of Moving MNIST by hidden size."""
    input:
        "results/capacity.csv",


rule unlabelled_hours:
    """Accuracy against hours of unlabelled video."""
    input:
        "results/unlabelled_hours.csv",
        "results/figures/unlabelled_hours.png",


rule convlstm:
    """LSTM compared with ConvLSTM."""
    input:
        "results/convlstm.csv",


rule figures:
    """Every figure, and the errors of predicted frames as a table."""
    input:
        "results/figures/accuracy.png",
        "results/frame_errors.csv",
        ["results/figures/unlabelled_hours.png"] if HOURS.hours else [],
        expand(
            "results/figures/{figure}_{test}.png",
            figure=["samples", "errors"],
            test=TESTS,
        ),
        expand("results/figures/curves_{frames}.png", frames=["mnist", "patches"]),
        [
            f"results/figures/{figure}_{frames}_{figure_variant(figure)}.png"
            for figure in ("features", "activity")
            for frames in ("mnist", "patches")
            if figure_variant(figure)
        ],
        expand("results/figures/retrieval_{labelled}.png", labelled=settings.datasets),


rule pages:
    """All pages and figures of the report, which `make report` puts into one file."""
    input:
        [f"results/report/{page}.html" for page in ("summary", *TITLES, "run")],
        rules.figures.input,
        "results/representations.html",
