"""Which jobs use each setting and each module, and a changed value of each setting."""

from projects import CONFIG

DIGITS = {"pretrain:mnist", "pretrain_capacity", "pretrain_convlstm"}
MATCHED_LSTMS = {"pretrain_convlstm:lstm_equal_parameters", "pretrain_convlstm:lstm_equal_time"}
DIGITS_TEST = {"render_moving_mnist", "render_other_digits"}
CLASSIFIERS = {"finetune_classifier", "validate_classifier", "finetune_on_hours"}
PERCEPT_PRETRAINING = {"pretrain:tiny_split1", "pretrain_on_hours"}
PRETRAINING = {"pretrain", "pretrain_on_hours", *DIGITS}
DEVICE = {
    "extract_flow", "extract_percepts", "train_flow_convnet", "extract_flow_percepts",
    "measure_predictions", "predict_compared", "encode_videos", *PRETRAINING, *CLASSIFIERS,
}  # fmt: skip

LOOKS = {"draw_retrieval", "map_representations"}
REPRESENTATIONS = {"score_representations", "summarise_representations", *LOOKS}

STAGES = {
    "seed": {"render_demo", *DIGITS, *DIGITS_TEST},
    "device": DEVICE,
    "checkpoint_seconds": set(),  # changes no artifact
    "tensorboard": set(),
    "datasets": {"index_videos:tiny"},
    "datasets.*.root": {"probe_videos:tiny", "index_videos:tiny"},
    "datasets.*.follow_links": {"probe_videos:tiny", "index_videos:tiny"},
    # The tiny workflow has run its first split; the second is new.
    "datasets.*.use_splits": {"train_flow_convnet:2", "pretrain:tiny_split2",
                              "finetune_classifier:2", "validate_classifier:2", "fuse_streams:2",
                              "compare_choices", "collect_fused_scores",
                              "pretrain_on_hours:tiny_split2", "finetune_on_hours:2",
                              "collect_scores", "make_paper_table", "compare_hours",
                              "encode_videos:2", "score_representations:2",
                              "summarise_representations", *LOOKS},
    "datasets.*.small_set_labels": {"finetune_classifier:2", "make_paper_table:3"},
    "datasets.*.num_shards": {"probe_videos:tiny"},
    "unlabelled": {"sample_unlabelled_clips"},
    "unlabelled.root": {"probe_videos:unlabelled", "index_videos:unlabelled"},
    "unlabelled.follow_links": {"probe_videos:unlabelled", "index_videos:unlabelled"},
    "unlabelled.num_shards": {"probe_videos:unlabelled"},
    "streams": {"collect_scores", "collect_fused_scores", "summarise_representations",
                "make_paper_table:1", "make_paper_table:4", "compare_choices"},
    "demo": {"render_demo"},
    "video": {"probe_videos"},
    "flow": {"extract_flow"},
    # DIS and PNG do not use them.
    "flow.brox": set(),
    "flow.jpeg_quality": set(),
    "percepts": {"extract_percepts"},
    "percepts.features": {"import_features"},  # in place of extract_percepts
    "flow_convnet": {"train_flow_convnet"},
    "mnist": DIGITS | DIGITS_TEST,
    "mnist.num_digits": DIGITS | {"render_moving_mnist", "render_other_digits:2"},
    "mnist.num_test_sequences": DIGITS_TEST,
    "mnist.test_file": {"render_moving_mnist"},
    "patches": {"cut_patches"},
    "pretraining.variants": {"pretrain:autoencoder"},
    "pretraining.percepts": PERCEPT_PRETRAINING,
    "pretraining.percepts.videos": {*PERCEPT_PRETRAINING, "pretrain:unlabelled"},
    # Classifiers without an encoder-decoder, and random encoders, have its size.
    "pretraining.percepts.hidden_size": {*PERCEPT_PRETRAINING, *CLASSIFIERS,
        "encode_videos:random"},
    "pretraining.percepts.num_layers": {*PERCEPT_PRETRAINING, *CLASSIFIERS, "encode_videos:random"},
    # The comparisons take all other settings from here.
    "pretraining.mnist": DIGITS,
    "pretraining.mnist.hidden_size": {"pretrain:mnist", *MATCHED_LSTMS},
    "pretraining.mnist.num_layers": {"pretrain:mnist", "pretrain_convlstm:lstm_equal_time"},
    "pretraining.mnist.input_frames": DIGITS | DIGITS_TEST,
    "pretraining.mnist.future_frames": DIGITS | DIGITS_TEST,
    "pretraining.mnist.patch_size": {"pretrain:mnist", "pretrain_capacity", *MATCHED_LSTMS},
    "pretraining.mnist.kernel_size": {"pretrain:mnist", "pretrain_capacity", *MATCHED_LSTMS},
    "pretraining.mnist.training": {"pretrain:mnist", "pretrain_convlstm:lstm_equal_time"},
    "pretraining.patches": {"pretrain:patches"},
    "pretraining.patches.input_frames": {"pretrain:patches", "cut_patches"},
    "pretraining.patches.future_frames": {"pretrain:patches", "cut_patches"},
    "capacity": {"pretrain_capacity"},
    "capacity.hidden_sizes": {"pretrain_capacity:9"},
    "convlstm": {"pretrain_convlstm"},
    "unlabelled_hours": {"pretrain_on_hours:0.003", "compare_hours"},
    "unlabelled_hours.variant": {"pretrain_on_hours:conditional_future_predictor", "compare_hours"},
    "unlabelled_hours.stream": {"pretrain_on_hours:flow1", "compare_hours"},
    "unlabelled_hours.labels": {"finetune_on_hours:all", "compare_hours"},
    "finetuning": CLASSIFIERS,
    "finetuning.block_frames": {*CLASSIFIERS, "encode_videos"},
    "finetuning.block_stride": {*CLASSIFIERS, "encode_videos"},
    "finetuning.labels": {"finetune_classifier:2", "validate_classifier:2",
                          "score_representations"},
    "finetuning.num_draws": {"score_representations", *CLASSIFIERS},
    "finetuning.overrides": {"finetune_classifier:single_frame",
                             "validate_classifier:single_frame"},
    "finetuning.choices": CLASSIFIERS,
    "finetuning.validation_fraction": {"validate_classifier", "score_representations"},
}  # fmt: skip
"""Jobs that use a setting, by rule or by rule and wildcard value; the longest prefix of the
setting's name applies."""

SAMPLING = {"sample_clips", "sample_unlabelled_clips"}
CLIPS = {"extract_flow", "extract_percepts", "cut_patches"}
FIGURES = {f"draw_{what}" for what in ("accuracy", "activity", "curves", "errors", "features",
                                       "hours", "samples", "retrieval")}  # fmt: skip
FILMS = {"render_demo", "map_representations", "draw_samples", "draw_errors", "draw_retrieval"}
FRAMES = {"measure_predictions", "predict_compared"}
FLOW_PERCEPTS = {"extract_percepts", "extract_flow_percepts"}
COMPARISONS = {"compare_choices", "compare_hours"}
TABLES = {"collect_scores", "collect_fused_scores", "make_table2", "make_paper_table",
          "summarise_accuracy", "summarise_fusion", "tabulate_frame_errors", "compare_models",
          *COMPARISONS}  # fmt: skip
NOTHING: set[str] = set()
EVERYTHING = {
    "render_demo",
    "fuse_streams",
    "encode_videos",
    *REPRESENTATIONS,
    *DIGITS,
    *DIGITS_TEST,
    *TABLES,
    *FIGURES,
}

MODULES = {
    **dict.fromkeys(
        ("artifacts", "code", "command_line", "errors", "interruption", "progress"), EVERYTHING
    ),
    **dict.fromkeys(("__main__", "layout"), NOTHING),  # of the command video-lstm
    **dict.fromkeys(("device", "gpus"), DEVICE),
    "precision": PRETRAINING | CLASSIFIERS | {"train_flow_convnet", "encode_videos"},
    # Settings reach a stage as values.
    **dict.fromkeys(("settings", "configuration", "doctor"), NOTHING),
    "run_control": NOTHING,  # of the Snakefile
    "compiled_loops": PRETRAINING | CLASSIFIERS | {"encode_videos", "extract_flow"},
    "parallel": {"render_demo", "extract_flow", "extract_percepts", "extract_flow_percepts",
                 "encode_videos"},
    "plots": NOTHING,
    "plots.style": {"map_representations", *FIGURES},
    "plots.predictions": {"draw_samples", "draw_errors"},
    "plots.curves": {"draw_curves", "draw_accuracy", "draw_hours"},
    "plots.units": {"draw_activity", "draw_features"},
    "plots.filmstrips": {"draw_retrieval"},
    "demo": {"render_demo"},
    "video": {"probe_videos"},
    "video.layouts": {"index_videos"},
    "video.index": {"index_videos"},
    "video.labelled_videos": {"train_flow_convnet", *LOOKS, *PRETRAINING, *CLASSIFIERS,
        "encode_videos",
                       "score_representations"},
    "video.file_signatures": FILMS,
    "video.ffmpeg_program": FILMS,
    "video.source": FILMS,
    "video.timing": FILMS,
    **dict.fromkeys(("video.decode", "video.seek"), CLIPS | LOOKS),
    "video.filmstrips": LOOKS,
    **dict.fromkeys(("video.sampling", "video.held_out"), SAMPLING),
    # The plan's own: whose test videos may be among the unlabelled ones.
    "video.overlap": NOTHING,
    # Which clip a row is of.
    "video.clips": {*SAMPLING, "probe_videos", *PRETRAINING, *CLASSIFIERS},
    "video.write_video": FILMS,
    "video.splits": {"index_videos"},
    "video.video_lists": {"index_videos"},
    "video.split_parts": {"index_videos", *SAMPLING, *PRETRAINING, *CLASSIFIERS},
    # encode_videos makes percepts of new video files itself, and so runs again with what it takes.
    "flow": {"extract_flow", "encode_videos"},
    "locks": {"extract_flow", "encode_videos"},
    "percepts": FLOW_PERCEPTS,
    "percepts.new_videos": {"encode_videos"},
    "percepts.own_features": {"encode_videos"},
    "percepts.flow_percepts": {"extract_flow_percepts", "encode_videos"},
    "percepts.temporal_stream": {"train_flow_convnet", "encode_videos"},
    "sequences": PRETRAINING | CLASSIFIERS | {"encode_videos"},
    "sequences.patch_sampling": {"cut_patches"},
    "sequences.tiles": NOTHING,  # of whole videos, which a person predicts
    **dict.fromkeys(("sequences.fixed_test_sets", "sequences.patches"), PRETRAINING),
    **dict.fromkeys(("sequences.digits", "sequences.moving_mnist"), PRETRAINING | DIGITS_TEST),
    "sequences.random_streams": PRETRAINING | DIGITS_TEST | CLASSIFIERS | {"cut_patches",
        "encode_videos"},
    "models": PRETRAINING | CLASSIFIERS | {"encode_videos"},
    **dict.fromkeys(("models.classifier", "models.logistic_regression"), CLASSIFIERS),
    "models.block_encoder": {"encode_videos"},
    "training": PRETRAINING | CLASSIFIERS | {"train_flow_convnet"},
    **dict.fromkeys(("training.model_matching", "training.percept_sources", "training.pretraining"),
                    PRETRAINING),
    "training.tensorboard": {"map_representations", "train_flow_convnet", *PRETRAINING,
                             *CLASSIFIERS},
    **dict.fromkeys(("training.pretrained", "training.training_summary"),
                    PRETRAINING | CLASSIFIERS | {"encode_videos"}),
    "training.finetuning": CLASSIFIERS,
    "training.flow_stacks": {"train_flow_convnet"},
    "sequences.labelled_clips": {"train_flow_convnet", *CLASSIFIERS},
    "sequences.labelled_subsets": CLASSIFIERS | REPRESENTATIONS,
    "evaluation.accuracy": {"summarise_accuracy", "summarise_fusion", "make_paper_table",
                            "compare_hours", "summarise_representations", *LOOKS},
    "evaluation.published": {"make_paper_table"},
    "evaluation.published_results": {"make_paper_table"},
    "evaluation.choices": {"compare_choices"},
    "evaluation.representations": {"encode_videos"},
    "evaluation.representation_classifiers": REPRESENTATIONS,
    "evaluation.representation_scores": {"score_representations", *LOOKS},
    "evaluation.representation_summaries": {"summarise_representations", *LOOKS},
    "evaluation.galleries": LOOKS,
    "evaluation.representation_maps": {"map_representations"},
    "evaluation.unit_activity": {"draw_activity"},
    "evaluation.frame_errors": FRAMES,
    "evaluation.frame_error_tables": {"tabulate_frame_errors", "compare_models", "draw_errors",
                                "draw_samples"},
    "sequences.validation": {"train_flow_convnet", *CLASSIFIERS, *REPRESENTATIONS},
    "evaluation.classifier_scores": {"fuse_streams", "encode_videos", *CLASSIFIERS, *TABLES,
                                     *REPRESENTATIONS},
    "evaluation.trivial_baselines": {"make_paper_table", "encode_videos", "collect_fused_scores",
                              *COMPARISONS, *FRAMES, *REPRESENTATIONS},
    "evaluation.fusion": {"fuse_streams"},
    "evaluation.measures": TABLES | REPRESENTATIONS | {"encode_videos"}
    | FIGURES - {"draw_activity", "draw_features"},
    "evaluation.tables": TABLES | REPRESENTATIONS | {"encode_videos"},
    "evaluation.html_tables": NOTHING,  # for the report, which is not a target here
}  # fmt: skip
"""Jobs that use a module, in the same way."""

CHANGED = {
    "seed": 3, "kind": "ucf101", "root": "rules", "lists": "x", "test_groups": 1, "num_splits": 3,
    "follow_links": True,
    "pattern": "(?P<group>g[0-9])", "use_splits": [2, 1], "small_set_labels": 2, "num_shards": 3,
    "clip_seconds": 1, "hours": 0.004, "streams": ["rgb"], "device": "cpu", "tensorboard": True,
    "videos_per_class": 6, "labelled_seconds": 1.3, "unlabelled_videos": 4, "unlabelled_seconds": 4,
    "actions": ["walk", "sit"], "frame_rate": 10, "min_frames": 3, "method": "tvl1", "alpha": 0.2,
    "gamma": 51, "scale_factor": 0.7, "inner_iterations": 6, "outer_iterations": 7,
    "solver_iterations": 9, "batch_size": 8, "height": 80, "width": 80, "bound": 10,
    "codec": "jpeg",
    "jpeg_quality": 90, "network": "vgg16", "weights": CONFIG, "weights_sha256": "0" * 64,
    "layer": "x", "features": "features",
    "pooling": "max", "crop_size": 32, "backend": "torch", "channels": 5, "fc6": 9,
    "fc7": 9, "normalization": "batch", "dropout": 0.3, "steps": 5, "optimizer": "adamw",
    "learning_rate": 0.02, "momentum": 0.8, "weight_decay": 0.1, "schedule": "constant",
    "warmup_steps": 2, "decay_every": 3, "decay_factor": 0.8, "max_grad_norm": 2.0,
    "precision": "tf32", "validate_every": 2, "early_stopping_patience": 2,
    "checkpoint_seconds": 30,
    "source": "tests", "image_size": 28, "digit_size": 12, "num_digits": 1, "speed": [0.1, 0.2],
    "num_test_sequences": 9, "test_file": CONFIG, "color": True, "num_train_sequences": 33,
    "test_fraction": 0.3, "hidden_size": 9, "num_layers": 3, "input_frames": 5, "future_frames": 5,
    "forget_bias": 1.0, "output_bias": "zero", "subtract_mean": True, "patch_size": 8,
    "kernel_size": 7,
    "readout_first": True, "scheduled_sampling": 0.5, "scheduled_sampling_warmup": 0.2,
    "feedback_lr_scale": 0.5, "output_lr_scale": 2.0,
    "input_lr_scale": 0.5, "num_processes": 2, "videos": ["unlabelled"],
    "validation_fraction": 0.15, "num_draws": 3,
    "block_frames": 9,
    "block_stride": 5, "softmax_init": "random", "logistic_regression_c": 1.0,
    "encoder_lr_scale": 0.5,
    "labels": [1, 2, "all"], "choices": [{"dropout": 0.1}, {}],
    "overrides": [{"variants": ["single_frame"], "settings": {"dropout": 0.1}}],
    "unlabelled_hours.hours": [0.002, 0.003], "unlabelled_hours.stream": "flow1",
    "unlabelled_hours.variant": "conditional_future_predictor",
    "unlabelled_hours.labels": [1, "all"],
    "variants": ["composite", "conditional_future_predictor", "autoencoder"],
    "splits.fraction.test_fraction": 0.4, "splits.group.by": {"by": "fraction"},
    "splits.list.train": [CONFIG], "splits.list.test": [CONFIG],
    "flow_convnet.channels": [4, 4, 4, 4, 5], "hold_out_validation": True,
    "capacity.hidden_sizes": [4, 9],
}  # fmt: skip
"""Changed value of each setting; the longest suffix of the setting's name applies."""

IMPOSSIBLE = {"datasets.*.splits.fraction.by", "datasets.*.splits.list.by"}  # fmt: skip
"""Settings with one possible value; the kind of split is changed from `group`."""

KINDS = {
    "fraction": {"by": "fraction", "test_fraction": 0.5},
    "list": {"by": "list", "train": ["config.yaml"], "test": ["config.yaml"]},
}
"""Other kinds of splits than the tiny workflow's."""
