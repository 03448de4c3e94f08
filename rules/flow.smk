"""Optical flow, and the temporal-stream convnet that extracts percepts from it."""


rule extract_flow:
    """Compute the flow between consecutive frames of a shard's clips, quantised to 8 bits."""
    input:
        "results/clips/{dataset}/{shard}.h5",
    output:
        "results/flow/{dataset}/{shard}.h5",
    log:
        "results/logs/extract_flow/{dataset}_{shard}.log",
    benchmark:
        "results/benchmarks/extract_flow/{dataset}_{shard}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000),
        runtime=1440,
        gpu=GPU if settings.flow.method == "brox" else 0,
    params:
        scripts=scripts_folder,
        code=hash_code("extract_flow"),
        settings=lambda wildcards: settings_options(
            device=settings.device,
            flow=settings.flow.used(),
        ),
    message:
        "Computing optical flow of {wildcards.dataset}, shard {wildcards.shard}"
    shell:
        "python {params.scripts}/extract_flow.py"
        " {params.settings}"
        " --clips {input}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"


rule train_flow_convnet:
    """Train the temporal-stream convnet on the flow of a split's training videos only."""
    input:
        videos="results/videos/{labelled}.h5",
        flow=lambda wildcards: flow_files(wildcards.labelled),
    output:
        "results/flow_convnet/{labelled}/split{split}/{stream}.h5",
    log:
        "results/logs/train_flow_convnet/{labelled}_split{split}_{stream}.log",
    benchmark:
        "results/benchmarks/train_flow_convnet/{labelled}_split{split}_{stream}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(8000),
        runtime=2880,
        gpu=GPU,
    params:
        scripts=scripts_folder,
        code=hash_code("train_flow_convnet"),
        settings=lambda wildcards: settings_options(
            device=settings.device,
            split=wildcards.split,
            stream=wildcards.stream,
            flow_convnet=settings.flow_convnet,
            validation_fraction=(
                settings.finetuning.validation_fraction
                if settings.flow_convnet.hold_out_validation
                else None
            ),
            seed=settings.seed,
            checkpoints=CHECKPOINTS,
        ),
    message:
        "Training the convnet of stream {wildcards.stream} on {wildcards.labelled},"
        " split {wildcards.split}"
    shell:
        "python {params.scripts}/train_flow_convnet.py"
        " {params.settings}"
        " --videos {input.videos}"
        " --flow {input.flow}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"
        " ${{TRAINING:-}}"


rule extract_flow_percepts:
    """Extract a layer of the temporal-stream convnet for every frame of a shard."""
    input:
        flow="results/flow/{dataset}/{shard}.h5",
        convnet=lambda wildcards: "results/flow_convnet/{1}/{2}/{0}.h5".format(
            *wildcards.flow_features.split("_")
        ),
    output:
        "results/percepts/{dataset}/{flow_features}/{shard}.h5",
    log:
        "results/logs/extract_flow_percepts/{dataset}_{flow_features}_{shard}.log",
    benchmark:
        "results/benchmarks/extract_flow_percepts/{dataset}_{flow_features}_{shard}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000),
        runtime=720,
        gpu=GPU,
    params:
        scripts=scripts_folder,
        code=hash_code("extract_flow_percepts"),
        settings=lambda wildcards: settings_options(
            device=settings.device,
            cache=CHECKPOINTS,
        ),
    message:
        "Extracting percepts {wildcards.flow_features} of {wildcards.dataset},"
        " shard {wildcards.shard}"
    shell:
        "python {params.scripts}/extract_flow_percepts.py"
        " {params.settings}"
        " --flow {input.flow}"
        " --convnet {input.convnet}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"
