"""Sequences of pixels: Moving MNIST and patches of natural video, and their prediction."""


rule render_moving_mnist:
    """The fixed test set of Moving MNIST."""
    input:
        digits=digit_files(),
    output:
        "results/sequences/mnist.h5",
    log:
        "results/logs/render_moving_mnist.log",
    benchmark:
        "results/benchmarks/render_moving_mnist.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=code("render_moving_mnist"),
        command=command(
            "render_moving_mnist",
            mnist=settings.mnist,
            frames=sequence_frames("mnist"),
            seed=settings.seed,
        ),
    message:
        "Rendering the test set of Moving MNIST"
    shell:
        "python {params.command} --output {output}" " --threads {threads} --log {log}"


rule cut_patches:
    """Small patches of the pile's clips, for training and, from other videos, for testing."""
    input:
        videos=f"results/videos/{UNLABELLED}.h5",
        clips=f"results/clips/{UNLABELLED}.h5",
    output:
        "results/sequences/patches.h5",
    log:
        "results/logs/cut_patches.log",
    benchmark:
        "results/benchmarks/cut_patches.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        code=code("cut_patches"),
        command=command(
            "cut_patches",
            patches=settings.patches,
            frames=sequence_frames("patches"),
            seed=settings.seed,
        ),
    message:
        "Cutting patches from the unlabelled videos"
    shell:
        "python {params.command} --videos {input.videos} --clips {input.clips}"
        " --output {output} --threads {threads} --log {log}"


rule predict_frames:
    """Errors of an encoder-decoder on the test sequences, frame by frame, and samples."""
    input:
        pretrained="results/pretrain/{frames}/pixels/{variant}.h5",
        test="results/sequences/{frames}.h5",
    output:
        "results/predict/{frames}/{variant}.h5",
    log:
        "results/logs/predict_frames/{frames}_{variant}.log",
    benchmark:
        "results/benchmarks/predict_frames/{frames}_{variant}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=8000,
        runtime=60,
        gpu=GPU,
    params:
        code=code("predict_frames"),
        command=command(
            "predict_frames",
            device=settings.device,
        ),
    message:
        "Predicting {wildcards.frames} with {wildcards.variant}"
    shell:
        "python {params.command} --pretrained {input.pretrained} --test {input.test}"
        " --output {output} --threads {threads} --log {log}"
