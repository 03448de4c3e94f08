"""Settings: wrong ones are reported with their key and the nearest valid one."""

import pytest
import yaml
from projects import ROOT

from video_lstm.configuration import load_settings
from video_lstm.errors import UserError
from video_lstm.settings.base import Section
from video_lstm.settings.percepts import FlowSettings
from video_lstm.settings.pipeline import Settings

LEAST = {"datasets": {"mine": {"root": "videos"}}, "unlabelled": {"root": "unlabelled"}}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sed": 3}, "unknown setting 'sed'; did you mean 'seed'?"),
        ({"flow": {"metod": "dis"}}, "unknown setting 'flow.metod'; did you mean 'method'?"),
        (
            {"pretraining": {"percepts": {"training": {"stepz": 1}}}},
            "unknown setting 'pretraining.percepts.training.stepz'; did you mean 'steps'?",
        ),
        (
            {"datasets": {"mine": {"root": "x", "splits": {"by": "fraction",
                                                           "test_fractoin": 0.3}}}},
            "unknown setting 'datasets.mine.splits.test_fractoin'; did you mean 'test_fraction'?",
        ),
        (
            {"pretraining": {"percepts": {"centre": True}}},
            "unknown setting 'pretraining.percepts.centre'; it is replaced by the stream 'motion'",
        ),
        (
            {"finetuning": {"freeze_encoder": True}},
            "unknown setting 'finetuning.freeze_encoder'; it is replaced by 'encoder_lr_scale: 0'",
        ),
        (
            {"mnist": {"image_size": 30, "digit_size": 14}},
            "convlstm.patch_size: expected a divisor of mnist.image_size (30), found 4",
        ),
        ({"pretraining": {"patches": {"kernel_size": 4}}}, "expected an odd kernel_size, found 4"),
        (
            {"pretraining": {"mnist": {"units": 4}}},
            "unknown setting 'pretraining.mnist.units'; it is called 'hidden_size' now",
        ),
        ({"capacity": {"units": [4]}}, "'capacity.units'; it is called 'hidden_sizes' now"),
        ({"patches": {"size": 4}}, "'patches.size'; it is called 'patch_size' now"),
        (
            {"unlabelled_hours": {"hours": [1], "stream": "motion"}},
            "unlabelled_hours.stream: expected one of streams, found motion",
        ),
        ({"finetuning": {"overrides": [{"settings": {"dropuot": 0.1}}]}}, "dropuot"),
        ({"flow": {"bound": -1}}, "'flow.bound': input should be greater than 0, found -1"),
        ({"datasets": {"root": "videos"}}, "'datasets.root': expected keys below it, such as"),
        ({"flow": "dis"}, "'flow': expected keys below it, such as 'method'"),
        ({"datasets": ["videos"]}, "'datasets': expected keys below it, found ['videos']"),
        ({"finetuning": {"labels": [0]}}, "'finetuning.labels.0'"),
        (
            {"datasets": {"My set": {"root": "x"}}},
            "datasets.My set: expected a name of small letters and digits",
        ),
        (
            {"datasets": {"mine": {"root": "x", "use_splits": [2]}}},
            "expected use_splits between 1 and 1, the number of splits, found [2]",
        ),
        (
            {"datasets": {"a": {"root": "", "splits": {"by": "group", "pattern": "(",
                                                       "test_groups": 1}}}},
            "expected a regular expression as pattern, found an invalid one",
        ),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_one_line_with_the_path_of_the_key(wrong, message):
    with pytest.raises(UserError) as error:
        load_settings(LEAST | wrong, "my.yaml")
    assert str(error.value).startswith("my.yaml: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_all_problems_are_reported_together():
    with pytest.raises(UserError) as error:
        load_settings({"sed": 1, "flow": {"method": "bro"}})
    assert all(word in str(error.value) for word in ("'datasets' is required", "'sed'", "'bro'"))


@pytest.mark.parametrize("path", [ROOT / "config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))])
def test_the_shipped_configurations_are_valid(path):
    load_settings(yaml.safe_load(path.read_text()), path.name)


def test_every_setting_is_documented():
    def undocumented(model, path=""):
        for key, field in model.model_fields.items():
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, Section):
                yield from undocumented(kind, f"{path}{key}.")
            elif not field.description:
                yield path + key

    assert not list(undocumented(Settings))


def test_a_partial_section_keeps_its_other_defaults():
    part = {
        "flow_convnet": {"training": {"batch_size": 3}},
        "pretraining": {"mnist": {"hidden_size": 5}},
    }
    settings = load_settings(LEAST | part)
    training = settings.flow_convnet.training
    assert (training.batch_size, training.optimizer, training.steps) == (3, "sgd", 80_000)
    mnist = settings.pretraining.mnist
    assert (mnist.hidden_size, mnist.input_frames, mnist.future_frames) == (5, 10, 10)


def test_settings_that_method_and_codec_do_not_use_do_not_count():
    options = {"bound": 10, "brox": "fast", "jpeg_quality": 90}
    plain = FlowSettings(method="dis", bound=10)
    assert FlowSettings(method="dis", **options).used() == plain
    both = FlowSettings(method="brox", codec="jpeg", **options)
    assert both.used() == both != plain
