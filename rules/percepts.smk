"""RGB percepts, and where the percepts of every stream are."""


rule extract_percepts:
    """A layer of an ImageNet convnet for every frame of a shard."""
    input:
        clips="results/clips/{dataset}/{shard}.h5",
        weights=lambda wildcards: settings.percepts.weights or [],
    output:
        "results/percepts/{dataset}/rgb/{shard}.h5",
    log:
        "results/logs/extract_percepts/{dataset}_{shard}.log",
    benchmark:
        "results/benchmarks/extract_percepts/{dataset}_{shard}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=memory(8000),
        runtime=1440,
        gpu=GPU,
    params:
        code=code("extract_percepts"),
        command=lambda wildcards: command(
            "extract_percepts",
            device=settings.device,
            percepts=settings.percepts,
        ),
    message:
        "Extracting RGB percepts of {wildcards.dataset}, shard {wildcards.shard}"
    shell:
        "python {params.command} --clips {input.clips}"
        " --output {output} --cache results/checkpoints"
        " --threads {threads} --log {log}"
