"""Pretraining of encoder-decoders on percepts, digits and patches, by one script."""


rule pretrain:
    """Pretrain a variant of the encoder-decoder on sequences without labels."""
    input:
        unpack(pretraining_inputs),
    output:
        "results/pretrain/{corpus}/{stream}/{variant}.h5",
    log:
        "results/logs/pretrain/{corpus}_{stream}_{variant}.log",
    benchmark:
        "results/benchmarks/pretrain/{corpus}_{stream}_{variant}.tsv"
    wildcard_constraints:
        stream=rf"{STREAM}|pixels",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(8000),
        runtime=2880,
        gpu=lambda wildcards: GPU
        * pretraining_settings(wildcards)["model"].num_processes,
    params:
        scripts=scripts_folder,
        code=hash_code("pretrain"),
        launcher=lambda wildcards: python_launcher(
            pretraining_settings(wildcards)["model"].num_processes
        ),
        files=pretraining_input_options,
        settings=lambda wildcards: settings_options(
            device=settings.device,
            variant=wildcards.variant,
            seed=settings.seed,
            checkpoints=CHECKPOINTS,
            **pretraining_settings(wildcards),
        ),
    message:
        "Pretraining {wildcards.variant} on {wildcards.corpus}, stream {wildcards.stream}"
    shell:
        "{params.launcher} {params.scripts}/pretrain.py"
        " {params.settings}"
        " {params.files}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"
        " ${{TRAINING:-}}"
