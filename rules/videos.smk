"""Videos and the clips that are cut from them."""

from video_lstm.settings import VideoSource


rule render_demo:
    """The synthetic videos of the demo: a labelled set and a pile."""
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
        code=code("render_demo"),
        command=command("render_demo", demo=settings.demo, seed=settings.seed),
    message:
        "Rendering the demo's videos"
    shell:
        "python {params.command} --output {output}" " --threads {threads} --log {log}"


rule index_videos:
    """Every video of a data set: frames, rate, size, class, splits, and what is left out and why."""
    input:
        lambda wildcards: [DEMO] if is_demo(source(wildcards.dataset).root) else [],
    output:
        "results/videos/{dataset}.h5",
    log:
        "results/logs/index_videos/{dataset}.log",
    benchmark:
        "results/benchmarks/index_videos/{dataset}.tsv"
    conda:
        ENVIRONMENT
    threads: 16
    resources:
        mem_mb=memory(4000),
        runtime=240,
    params:
        code=code("index_videos"),
        listing=lambda wildcards: listing(source(wildcards.dataset).root),
        command=lambda wildcards: command(
            "index_videos",
            source=source(wildcards.dataset),
            video=settings.video,
            seed=settings.seed,
            # Like checkpoints, not an output: Snakemake would delete it before the job.
            transcoded=f"results/transcoded/{wildcards.dataset}",
        ),
    message:
        "Indexing the videos of {wildcards.dataset}"
    shell:
        "python {params.command} --output {output}" " --threads {threads} --log {log}"


rule sample_clips:
    """Whole videos of a labelled set; random clips of the pile."""
    input:
        "results/videos/{dataset}.h5",
    output:
        "results/clips/{dataset}.h5",
    log:
        "results/logs/sample_clips/{dataset}.log",
    benchmark:
        "results/benchmarks/sample_clips/{dataset}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        code=code("sample_clips"),
        command=lambda wildcards: command(
            "sample_clips",
            seed=settings.seed,
            **(
                settings.unlabelled.model_dump(include={"clip_seconds", "hours"})
                if wildcards.dataset == UNLABELLED
                else {}
            ),
        ),
    message:
        "Sampling the clips of {wildcards.dataset}"
    shell:
        "python {params.command} --videos {input} --output {output}" " --log {log}"
