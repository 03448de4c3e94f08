"""Comparisons on Moving MNIST: autoencoders by hidden size, and LSTM with ConvLSTM."""


use rule pretrain as pretrain_capacity with:
    input:
        digits=lambda wildcards: digit_files(),
    output:
        "results/capacity/{hidden_size}.h5",
    log:
        "results/logs/pretrain_capacity/{hidden_size}.log",
    benchmark:
        "results/benchmarks/pretrain_capacity/{hidden_size}.tsv"
    resources:
        mem_mb=memory(8000),
        runtime=2880,
        gpu=GPU * settings.pretraining.mnist.num_processes,
    params:
        scripts=scripts_folder,
        code=hash_code("pretrain"),
        launcher=python_launcher(settings.pretraining.mnist.num_processes),
        files="",
        settings=lambda wildcards: settings_options(
            device=settings.device,
            variant="autoencoder",
            source="mnist",
            mnist=narrow(settings.mnist, MovingDigits),
            model=capacity_model(int(wildcards.hidden_size)),
            seed=settings.seed,
            checkpoints=CHECKPOINTS,
        ),
    message:
        "Pretraining an autoencoder with hidden size {wildcards.hidden_size} on Moving MNIST"


use rule pretrain as pretrain_convlstm with:
    input:
        unpack(matched_models),
        digits=lambda wildcards: digit_files(),
    output:
        "results/convlstm/{compared}.h5",
    log:
        "results/logs/pretrain_convlstm/{compared}.log",
    benchmark:
        "results/benchmarks/pretrain_convlstm/{compared}.tsv"
    resources:
        mem_mb=memory(8000),
        runtime=2880,
        gpu=GPU * settings.pretraining.mnist.num_processes,
    params:
        scripts=scripts_folder,
        code=hash_code("pretrain"),
        launcher=python_launcher(settings.pretraining.mnist.num_processes),
        files="",
        settings=lambda wildcards: settings_options(
            device=settings.device,
            variant="composite",
            source="mnist",
            mnist=narrow(settings.mnist, MovingDigits),
            model=convlstm_model(wildcards.compared),
            seed=settings.seed,
            checkpoints=CHECKPOINTS,
            **matched_models(wildcards),
        ),
    message:
        "Pretraining {wildcards.compared} on Moving MNIST"


use rule measure_predictions as predict_compared with:
    input:
        pretrained="results/{comparison}/{model}.h5",
        test="results/sequences/mnist.h5",
    output:
        "results/predict/{comparison}/{model}.h5",
    log:
        "results/logs/predict_compared/{comparison}_{model}.log",
    benchmark:
        "results/benchmarks/predict_compared/{comparison}_{model}.tsv"
    message:
        "Predicting the test sequences mnist with {wildcards.model}"


rule compare_models:
    """Tabulate the size, the training time and the errors of models."""
    input:
        pretrained=lambda wildcards: comparison_files("results/{}", wildcards),
        predictions=lambda wildcards: comparison_files("results/predict/{}", wildcards),
    output:
        "results/{comparison}.csv",
    log:
        "results/logs/compare_models/{comparison}.log",
    benchmark:
        "results/benchmarks/compare_models/{comparison}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SMALL_JOB,
    params:
        scripts=scripts_folder,
        code=hash_code("compare_models"),
        settings=lambda wildcards: settings_options(
            published=wildcards.comparison == "capacity" or None,
        ),
    message:
        "Comparing the models of {wildcards.comparison}"
    shell:
        "python {params.scripts}/compare_models.py"
        " {params.settings}"
        " --pretrained {input.pretrained}"
        " --predictions {input.predictions}"
        " --output {output}"
        " --log {log}"
