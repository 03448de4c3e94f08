"""Representations of videos by frozen encoders."""


rule encode_videos:
    """What a frozen encoder makes of every video of a labelled set; percepts and random beside."""
    input:
        unpack(encoder_inputs),
    output:
        "results/representations/{labelled}/split{split}/{stream}/{encoder}.h5",
    log:
        "results/logs/encode_videos/{labelled}_split{split}_{stream}_{encoder}.log",
    benchmark:
        "results/benchmarks/encode_videos/{labelled}_split{split}_{stream}_{encoder}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(8000),
        runtime=240,
        gpu=GPU,
    params:
        code=code("encode_videos"),
        files=lambda wildcards, input: options(input, "pretrained", "videos"),
        command=lambda wildcards: command(
            "encode_videos",
            device=settings.device,
            dataset=wildcards.labelled,
            split=wildcards.split,
            stream=wildcards.stream,
            variant=wildcards.encoder,
            frames=settings.finetuning.frames,
            stride=settings.finetuning.stride,
            units=settings.pretraining.percepts.units,
            layers=settings.pretraining.percepts.layers,
            seed=settings.seed,
        ),
    message:
        "Encoding the videos of {wildcards.labelled} by {wildcards.encoder}, split"
        " {wildcards.split}, {wildcards.stream}"
    shell:
        "python {params.command} --percepts {input.percepts} {params.files} --output {output}"
        " --threads {threads} --log {log}"
