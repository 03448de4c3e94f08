"""Figures of predictions, errors, training curves, features and the activity of units."""


rule draw_samples:
    """Draw truth, reconstruction and prediction of every variant, as strips and as an animation."""
    input:
        lambda wildcards: prediction_files(wildcards.test),
    output:
        picture=report(
            "results/figures/samples_{test}.png",
            caption="../report/samples.rst",
            category="2. Figures",
            labels={"figure": "predictions", "of": "{test}"},
        ),
        vector="results/figures/samples_{test}.svg",
        preview=report(
            "results/figures/preview_{test}.gif",
            caption="../report/preview.rst",
            category="2. Figures",
            labels={"figure": "predictions, animated", "of": "{test}"},
        ),
    log:
        "results/logs/draw_samples/{test}.log",
    benchmark:
        "results/benchmarks/draw_samples/{test}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("draw_samples"),
    message:
        "Drawing predictions of {wildcards.test}"
    shell:
        "python {params.scripts}/draw_samples.py"
        " --predictions {input}"
        " --output {output.picture} {output.vector}"
        " --preview {output.preview}"
        " --threads {threads}"
        " --log {log}"


rule draw_errors:
    """Plot the error against the predicted step, for all variants and trivial baselines."""
    input:
        lambda wildcards: prediction_files(wildcards.test),
    output:
        report(
            "results/figures/errors_{test}.png",
            caption="../report/errors.rst",
            category="2. Figures",
            labels={"figure": "errors by step", "of": "{test}"},
        ),
        "results/figures/errors_{test}.svg",
    log:
        "results/logs/draw_errors/{test}.log",
    benchmark:
        "results/benchmarks/draw_errors/{test}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("draw_errors"),
    message:
        "Drawing the errors on {wildcards.test}"
    shell:
        "python {params.scripts}/draw_errors.py"
        " --predictions {input}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"


rule draw_curves:
    """Plot the training curves of every variant."""
    input:
        expand(
            "results/pretrain/{{frames}}/pixels/{variant}.h5",
            variant=settings.pretraining.variants,
        ),
    output:
        report(
            "results/figures/curves_{frames}.png",
            caption="../report/curves.rst",
            category="2. Figures",
            labels={"figure": "training curves", "of": "{frames}"},
        ),
        "results/figures/curves_{frames}.svg",
    log:
        "results/logs/draw_curves/{frames}.log",
    benchmark:
        "results/benchmarks/draw_curves/{frames}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000),
        runtime=30,
    params:
        scripts=scripts_folder,
        code=hash_code("draw_curves"),
    message:
        "Drawing the training curves on {wildcards.frames}"
    shell:
        "python {params.scripts}/draw_curves.py"
        " --pretrained {input}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"


rule draw_features:
    """Draw the input and output features with the largest norms."""
    input:
        "results/pretrain/{frames}/pixels/{variant}.h5",
    output:
        report(
            "results/figures/features_{frames}_{variant}.png",
            caption="../report/features.rst",
            category="2. Figures",
            labels={"figure": "features", "of": "{frames}"},
        ),
        "results/figures/features_{frames}_{variant}.svg",
    log:
        "results/logs/draw_features/{frames}_{variant}.log",
    benchmark:
        "results/benchmarks/draw_features/{frames}_{variant}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000),
        runtime=30,
    params:
        scripts=scripts_folder,
        code=hash_code("draw_features"),
    message:
        "Drawing the features of {wildcards.variant} on {wildcards.frames}"
    shell:
        "python {params.scripts}/draw_features.py"
        " --pretrained {input}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"


rule draw_activity:
    """Predict a hundred steps and draw the units' activity, also for an untrained model."""
    input:
        pretrained="results/pretrain/{frames}/pixels/{variant}.h5",
        test="results/sequences/{frames}.h5",
    output:
        report(
            "results/figures/activity_{frames}_{variant}.png",
            caption="../report/activity.rst",
            category="2. Figures",
            labels={"figure": "units at work", "of": "{frames}"},
        ),
        "results/figures/activity_{frames}_{variant}.svg",
    log:
        "results/logs/draw_activity/{frames}_{variant}.log",
    benchmark:
        "results/benchmarks/draw_activity/{frames}_{variant}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000),
        runtime=30,
    params:
        scripts=scripts_folder,
        code=hash_code("draw_activity"),
        settings=lambda wildcards: settings_options(
            seed=settings.seed,
        ),
    message:
        "Drawing the activity of {wildcards.variant} on {wildcards.frames}"
    shell:
        "python {params.scripts}/draw_activity.py"
        " {params.settings}"
        " --pretrained {input.pretrained}"
        " --test {input.test}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"


rule draw_accuracy:
    """Plot accuracy against labelled videos per class, with intervals."""
    input:
        "results/accuracy.csv",
    output:
        report(
            "results/figures/accuracy.png",
            caption="../report/accuracy.rst",
            category="2. Figures",
            labels={"figure": "accuracy against labels", "of": "all"},
        ),
        "results/figures/accuracy.svg",
    log:
        "results/logs/draw_accuracy.log",
    benchmark:
        "results/benchmarks/draw_accuracy.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("draw_accuracy"),
    message:
        "Drawing accuracy against labelled videos per class"
    shell:
        "python {params.scripts}/draw_accuracy.py"
        " --accuracy {input}"
        " --output {output}"
        " --threads {threads}"
        " --log {log}"
