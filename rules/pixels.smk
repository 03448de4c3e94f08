"""Sequences of pixels: Moving MNIST and patches of natural video, and their prediction."""


rule render_moving_mnist:
    """Render the fixed test set of Moving MNIST."""
    input:
        digits=lambda wildcards: digit_files(),
        test_file=lambda wildcards: settings.mnist.test_file or [],
    output:
        "results/sequences/mnist.h5",
    log:
        "results/logs/render_moving_mnist.log",
    benchmark:
        "results/benchmarks/render_moving_mnist.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000),
        runtime=30,
    params:
        scripts=scripts_folder,
        code=hash_code("render_moving_mnist"),
        settings=lambda wildcards: settings_options(
            mnist=settings.mnist,
            frames=count_sequence_frames("mnist"),
            seed=settings.seed,
        ),
    message:
        "Rendering the test set of Moving MNIST"
    shell:
        "python {params.scripts}/render_moving_mnist.py"
        " {params.settings}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"


use rule render_moving_mnist as render_other_digits with:
    """Render test sequences with fewer or more digits than in training."""
    input:
        digits=lambda wildcards: digit_files(),
    output:
        "results/sequences/mnist_{num_digits}.h5",
    log:
        "results/logs/render_other_digits/{num_digits}.log",
    benchmark:
        "results/benchmarks/render_other_digits/{num_digits}.tsv"
    params:
        scripts=scripts_folder,
        code=hash_code("render_moving_mnist"),
        settings=lambda wildcards: settings_options(
            mnist=settings.mnist.model_copy(
                update={"num_digits": int(wildcards.num_digits), "test_file": None}
            ),
            frames=count_sequence_frames("mnist"),
            seed=settings.seed,
        ),
    message:
        "Rendering a test set of Moving MNIST with {wildcards.num_digits} digits per sequence"


rule cut_patches:
    """Cut patches from the unlabelled clips, for training and for testing from different videos."""
    input:
        clips=clip_files(UNLABELLED),
        probed=probed_files(UNLABELLED),
    output:
        "results/sequences/patches.h5",
    log:
        "results/logs/cut_patches.log",
    benchmark:
        "results/benchmarks/cut_patches.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(8000),
        runtime=240,
    params:
        scripts=scripts_folder,
        code=hash_code("cut_patches"),
        settings=lambda wildcards: settings_options(
            patches=settings.patches,
            frames=count_sequence_frames("patches"),
            seed=settings.seed,
        ),
    message:
        "Cutting patches from the unlabelled videos"
    shell:
        "python {params.scripts}/cut_patches.py"
        " {params.settings}"
        " --clips {input.clips}"
        " --probed {input.probed}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"


rule measure_predictions:
    """Measure the errors of an encoder-decoder on test sequences per frame, and keep samples."""
    input:
        pretrained=lambda wildcards: "results/pretrain/{}/pixels/{}.h5".format(
            wildcards.test.split("_")[0], wildcards.variant
        ),
        test="results/sequences/{test}.h5",
    output:
        "results/predict/{test}/{variant}.h5",
    log:
        "results/logs/measure_predictions/{test}_{variant}.log",
    benchmark:
        "results/benchmarks/measure_predictions/{test}_{variant}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(8000),
        runtime=60,
        gpu=GPU,
    params:
        scripts=scripts_folder,
        code=hash_code("measure_predictions"),
        settings=lambda wildcards: settings_options(
            device=settings.device,
        ),
    message:
        "Predicting the test sequences {wildcards.test} with {wildcards.variant}"
    shell:
        "python {params.scripts}/measure_predictions.py"
        " {params.settings}"
        " --pretrained {input.pretrained}"
        " --test {input.test}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"


rule tabulate_frame_errors:
    """Tabulate the errors of every variant and of the trivial baselines, by test set and step."""
    input:
        [file for test in TESTS for file in prediction_files(test)],
    output:
        "results/frame_errors.csv",
    log:
        "results/logs/tabulate_frame_errors.log",
    benchmark:
        "results/benchmarks/tabulate_frame_errors.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("tabulate_frame_errors"),
    message:
        "Tabulating the errors of predicted frames"
    shell:
        "python {params.scripts}/tabulate_frame_errors.py"
        " --predictions {input}"
        " --output {output}"
        " --log {log}"
