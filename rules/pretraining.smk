"""Encoder-decoders of percepts, digits and patches: one script, three sources of sequences."""

from video_lstm.settings import MovingDigits


rule pretrain_percepts:
    """A variant of the encoder-decoder, from percepts without their labels."""
    input:
        unpack(pretraining_inputs),
    output:
        "results/pretrain/{corpus}/{stream}/{variant}.h5",
    log:
        "results/logs/pretrain/{corpus}_{stream}_{variant}.log",
    benchmark:
        "results/benchmarks/pretrain/{corpus}_{stream}_{variant}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(8000),
        runtime=2880,
        gpu=GPU * settings.pretraining.percepts.processes,
    params:
        code=code("pretrain"),
        files=pretraining_files,
        command=lambda wildcards: command(
            "pretrain",
            device=settings.device,
            variant=wildcards.variant,
            source="percepts",
            model=settings.pretraining.percepts,
            seed=settings.seed,
        ),
    message:
        "Pretraining {wildcards.variant} on percepts {wildcards.stream} of {wildcards.corpus}"
    shell:
        "python {params.command} {params.files} --output {output}"
        " --checkpoints results/checkpoints --threads {threads} --log {log} $TENSORBOARD"


rule pretrain_mnist:
    """A variant of the encoder-decoder, from an endless stream of moving digits."""
    input:
        digits=digit_files(),
    output:
        "results/pretrain/mnist/pixels/{variant}.h5",
    log:
        "results/logs/pretrain/mnist_{variant}.log",
    benchmark:
        "results/benchmarks/pretrain/mnist_{variant}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(8000),
        runtime=2880,
        gpu=GPU * settings.pretraining.mnist.processes,
    params:
        code=code("pretrain"),
        command=lambda wildcards: command(
            "pretrain",
            device=settings.device,
            variant=wildcards.variant,
            source="mnist",
            mnist=narrow(settings.mnist, MovingDigits),
            model=settings.pretraining.mnist,
            seed=settings.seed,
        ),
    message:
        "Pretraining {wildcards.variant} on Moving MNIST"
    shell:
        "python {params.command} --output {output}"
        " --checkpoints results/checkpoints --threads {threads} --log {log} $TENSORBOARD"


rule pretrain_patches:
    """A variant of the encoder-decoder, from patches of natural video."""
    input:
        "results/sequences/patches.h5",
    output:
        "results/pretrain/patches/pixels/{variant}.h5",
    log:
        "results/logs/pretrain/patches_{variant}.log",
    benchmark:
        "results/benchmarks/pretrain/patches_{variant}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(8000),
        runtime=2880,
        gpu=GPU * settings.pretraining.patches.processes,
    params:
        code=code("pretrain"),
        command=lambda wildcards: command(
            "pretrain",
            device=settings.device,
            variant=wildcards.variant,
            source="patches",
            model=settings.pretraining.patches,
            seed=settings.seed,
        ),
    message:
        "Pretraining {wildcards.variant} on patches"
    shell:
        "python {params.command} --patches {input} --output {output}"
        " --checkpoints results/checkpoints --threads {threads} --log {log} $TENSORBOARD"
