"""Encoder-decoders of percepts, digits and patches: one script, three sources of sequences."""

from video_lstm.settings import MovingDigits


def pretraining(wildcards):
    """The source of a corpus's sequences and the section of its models, as the script's options."""
    source = {"mnist": "mnist", "patches": "patches"}.get(wildcards.corpus, "percepts")
    options = {"source": source, "model": getattr(settings.pretraining, source)}
    if source == "mnist":
        options["mnist"] = narrow(settings.mnist, MovingDigits)
    return options


rule pretrain:
    """A variant of the encoder-decoder, from sequences without labels."""
    input:
        unpack(pretraining_inputs),
    output:
        "results/pretrain/{corpus}/{stream}/{variant}.h5",
    log:
        "results/logs/pretrain/{corpus}_{stream}_{variant}.log",
    benchmark:
        "results/benchmarks/pretrain/{corpus}_{stream}_{variant}.tsv"
    wildcard_constraints:
        stream="rgb|flow1|flow10|pixels",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(8000),
        runtime=2880,
        gpu=lambda wildcards: GPU * pretraining(wildcards)["model"].processes,
    params:
        code=code("pretrain"),
        files=pretraining_files,
        command=lambda wildcards: command(
            "pretrain",
            device=settings.device,
            variant=wildcards.variant,
            seed=settings.seed,
            **pretraining(wildcards),
        ),
    message:
        "Pretraining {wildcards.variant} on {wildcards.stream} of {wildcards.corpus}"
    shell:
        "python {params.command} {params.files} --output {output}"
        " --checkpoints results/checkpoints --threads {threads} --log {log} $TENSORBOARD"
