"""RGB percepts."""


rule extract_percepts:
    """Extract a layer of an ImageNet convnet for every frame of a shard."""
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
    threads: 4
    resources:
        mem_mb=memory(8000),
        runtime=1440,
        gpu=GPU,
    params:
        scripts=scripts_folder,
        code=hash_code("extract_percepts"),
        settings=lambda wildcards: settings_options(
            device=settings.device,
            percepts=settings.percepts,
            cache=CHECKPOINTS,
        ),
    message:
        "Extracting RGB percepts of {wildcards.dataset}, shard {wildcards.shard}"
    shell:
        "python {params.scripts}/extract_percepts.py"
        " {params.settings}"
        " --clips {input.clips}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"
