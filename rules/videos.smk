"""Videos and the clips that are cut from them."""

from video_lstm.settings.videos import VideoSource


rule render_demo:
    """Render the synthetic videos of the demo: a labelled set and unlabelled videos."""
    output:
        directory(DEMO),
    log:
        "results/logs/render_demo.log",
    benchmark:
        "results/benchmarks/render_demo.tsv"
    conda:
        ENVIRONMENT
    threads: 16
    resources:
        mem_mb=memory(4000),
        runtime=30,
    params:
        scripts=scripts_folder,
        code=hash_code("render_demo"),
        settings=lambda wildcards: settings_options(
            demo=settings.demo, seed=settings.seed
        ),
    message:
        "Rendering the demo's videos"
    shell:
        "python {params.scripts}/render_demo.py"
        " {params.settings}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"


rule probe_videos:
    """Read frame counts, rates and sizes of a shard's videos, and why some are left out."""
    input:
        lambda wildcards: [DEMO] if is_rendered(wildcards.dataset) else [],
    output:
        "results/probed/{dataset}/{shard}.h5",
    log:
        "results/logs/probe_videos/{dataset}_{shard}.log",
    benchmark:
        "results/benchmarks/probe_videos/{dataset}_{shard}.tsv"
    conda:
        ENVIRONMENT
    threads: 16
    resources:
        mem_mb=memory(4000),
        runtime=240,
    params:
        scripts=scripts_folder,
        code=hash_code("probe_videos"),
        files=lambda wildcards: fingerprint_shard(wildcards.dataset, wildcards.shard),
        # `transcoded`, like checkpoints, is not an output: Snakemake would delete it first.
        # `follow_links` is an option only if it is set, so that earlier results stay valid.
        settings=lambda wildcards: settings_options(
            root=data_source(wildcards.dataset).root,
            labelled=wildcards.dataset != UNLABELLED,
            follow_links=data_source(wildcards.dataset).follow_links or None,
            shard=wildcards.shard,
            num_shards=count_shards(wildcards.dataset),
            video=settings.video,
            transcoded=f"{RESULTS}/transcoded/{wildcards.dataset}",
        ),
    message:
        "Probing the videos of {wildcards.dataset}, shard {wildcards.shard}"
    shell:
        "python {params.scripts}/probe_videos.py"
        " {params.settings}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"


rule index_videos:
    """List the videos of a data set with their classes and their part in every split."""
    input:
        probed=lambda wildcards: probed_files(wildcards.dataset),
        lists=lambda wildcards: split_list_files(wildcards.dataset),
    output:
        "results/videos/{dataset}.h5",
    log:
        "results/logs/index_videos/{dataset}.log",
    benchmark:
        "results/benchmarks/index_videos/{dataset}.tsv"
    # Before long jobs, since it finds classes without videos and lists that do not fit.
    priority: 1
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("index_videos"),
        settings=lambda wildcards: settings_options(
            source=data_source(wildcards.dataset),
            seed=settings.seed,
            transcoded=f"{RESULTS}/transcoded/{wildcards.dataset}",
        ),
    message:
        "Indexing the videos of {wildcards.dataset}"
    shell:
        "python {params.scripts}/index_videos.py"
        " {params.settings}"
        " --probed {input.probed}"
        " --output {output}"
        " --log {log}"


rule sample_clips:
    """List the clips of a labelled set's shard: its whole videos."""
    input:
        probed="results/probed/{labelled}/{shard}.h5",
    output:
        "results/clips/{labelled}/{shard}.h5",
    log:
        "results/logs/sample_clips/{labelled}_{shard}.log",
    benchmark:
        "results/benchmarks/sample_clips/{labelled}_{shard}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("sample_clips"),
        files="",
        use_splits="",
        settings="",
    message:
        "Listing the clips of {wildcards.labelled}, shard {wildcards.shard}"
    shell:
        "python {params.scripts}/sample_clips.py"
        " {params.settings}"
        " --probed {input.probed}"
        " {params.files}"
        " {params.use_splits}"
        " --output {output}"
        " --log {log}"


use rule sample_clips as sample_unlabelled_clips with:
    """Draw random clips from the unlabelled videos, except test videos of the labelled sets."""
    input:
        probed=probed_files(UNLABELLED),
        videos=lambda wildcards: expand(
            "results/videos/{labelled}.h5", labelled=sets_overlapping_unlabelled()
        ),
    output:
        clip_files(UNLABELLED),
    log:
        "results/logs/sample_unlabelled_clips.log",
    benchmark:
        "results/benchmarks/sample_unlabelled_clips.tsv"
    params:
        scripts=scripts_folder,
        code=hash_code("sample_clips"),
        files=lambda wildcards, input: input_options(input, "videos"),
        use_splits=lambda wildcards: held_out_split_options(),
        settings=lambda wildcards: settings_options(
            seed=settings.seed,
            **settings.unlabelled.model_dump(include={"clip_seconds", "hours"}),
        ),
    message:
        "Drawing clips from the unlabelled videos"
