"""Frozen representations: their scores, maps and nearest neighbours."""


rule encode_videos:
    """Encode every video of a labelled set by a frozen encoder, or by a trivial baseline."""
    input:
        unpack(encoder_inputs),
    output:
        "results/representations/{labelled}/split{split}/{stream}/{encoder}.h5",
    log:
        "results/logs/encode_videos/{labelled}_split{split}_{stream}_{encoder}.log",
    benchmark:
        "results/benchmarks/encode_videos/{labelled}_split{split}_{stream}_{encoder}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(8000),
        runtime=240,
        gpu=GPU,
    params:
        scripts=scripts_folder,
        code=hash_code("encode_videos"),
        files=lambda wildcards, input: input_options(input, "pretrained", "videos"),
        settings=lambda wildcards: encoder_options(wildcards),
    message:
        "Encoding the videos of {wildcards.labelled} with {wildcards.encoder}, split"
        " {wildcards.split}, stream {wildcards.stream}"
    shell:
        "python {params.scripts}/encode_videos.py"
        " {params.settings}"
        " --percepts {input.percepts}"
        " {params.files}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"


rule score_representations:
    """Score every representation by nearest neighbours, a linear probe and retrieval."""
    input:
        videos="results/videos/{labelled}.h5",
        representations=lambda wildcards: [
            representation_file(
                wildcards.labelled, wildcards.split, wildcards.stream, variant
            )
            for variant in list_encoders(wildcards.stream)
        ],
    output:
        "results/representations/{labelled}/split{split}/{stream}.csv",
    log:
        "results/logs/score_representations/{labelled}_split{split}_{stream}.log",
    benchmark:
        "results/benchmarks/score_representations/{labelled}_split{split}_{stream}.tsv"
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        mem_mb=memory(8000),
        runtime=240,
    params:
        scripts=scripts_folder,
        code=hash_code("score_representations"),
        labels=" ".join(map(str, settings.finetuning.labels)),
        draws=lambda wildcards: " ".join(map(str, count_draws(wildcards.stream))),
        settings=lambda wildcards: settings_options(
            validation_fraction=settings.finetuning.validation_fraction,
            seed=settings.seed,
        ),
    message:
        "Scoring the representations of {wildcards.labelled}, split {wildcards.split},"
        " stream {wildcards.stream}"
    shell:
        "python {params.scripts}/score_representations.py"
        " {params.settings}"
        " --labels {params.labels}"
        " --draws {params.draws}"
        " --videos {input.videos}"
        " --representations {input.representations}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"


rule summarise_representations:
    """Summarise the scores: means, intervals and the gain over trivial baselines."""
    input:
        [
            f"results/representations/{dataset}/split{split}/{stream}.csv"
            for dataset, split, stream in list_runs()
        ],
    output:
        "results/representations.csv",
    log:
        "results/logs/summarise_representations.log",
    benchmark:
        "results/benchmarks/summarise_representations.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("summarise_representations"),
    message:
        "Summarising the scores of the representations"
    shell:
        "python {params.scripts}/summarise_representations.py"
        " --scores {input}"
        " --output {output}"
        " --log {log}"


rule map_representations:
    """Draw maps of the test videos, with their nearest training videos, as a separate page."""
    input:
        **{
            role: [gallery_inputs(dataset)[role] for dataset in settings.datasets]
            for role in ("videos", "percepts", "encoded", "scores")
        },
        clips=[file for dataset in settings.datasets for file in clip_files(dataset)],
    output:
        "results/representations.html",
    log:
        "results/logs/map_representations.log",
    benchmark:
        "results/benchmarks/map_representations.tsv"
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        mem_mb=memory(4000),
        runtime=120,
    params:
        scripts=scripts_folder,
        code=hash_code("map_representations"),
        settings=lambda wildcards: settings_options(seed=settings.seed),
    message:
        "Drawing maps of the test videos"
    shell:
        "python {params.scripts}/map_representations.py"
        " {params.settings}"
        " --videos {input.videos}"
        " --percepts {input.percepts}"
        " --encoded {input.encoded}"
        " --scores {input.scores}"
        " --clips {input.clips}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"
        " ${{TENSORBOARD:-}}"


rule draw_retrieval:
    """Draw some test videos with the training videos that are nearest to them."""
    input:
        unpack(lambda wildcards: gallery_inputs(wildcards.labelled)),
    output:
        report(
            "results/figures/retrieval_{labelled}.png",
            caption="../report/retrieval.rst",
            category="2. Figures",
            labels={"figure": "nearest videos", "of": "{labelled}"},
        ),
        "results/figures/retrieval_{labelled}.svg",
    log:
        "results/logs/draw_retrieval/{labelled}.log",
    benchmark:
        "results/benchmarks/draw_retrieval/{labelled}.tsv"
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("draw_retrieval"),
        settings=lambda wildcards: settings_options(seed=settings.seed),
    message:
        "Drawing test videos of {wildcards.labelled} and their nearest training videos"
    shell:
        "python {params.scripts}/draw_retrieval.py"
        " {params.settings}"
        " --representations {input.percepts} {input.encoded}"
        " --videos {input.videos}"
        " --clips {input.clips}"
        " --scores {input.scores}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"
