"""Splits at random: balanced, stable when videos are added, and by whole groups."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_lstm.errors import UserError
from video_lstm.video.splits import read_ucf101_classes, split_by_fraction, split_by_group

members = st.dictionaries(st.sampled_from("abcd"), st.integers(2, 30), min_size=1).map(
    lambda sizes: [(name, f"{name}/{n}") for name, size in sizes.items() for n in range(size)]
)


@given(members, st.floats(0.01, 0.99), st.integers(1, 4), st.integers(0, 2**32))
def test_a_fraction_of_every_class_is_tested(videos, fraction, count, seed):
    assignments = split_by_fraction(videos, fraction, count, seed)
    assert assignments == split_by_fraction(videos, fraction, count, seed)
    for split in range(count):
        for name in {name for name, _ in videos}:
            parts = [a[split] for a, (n, _) in zip(assignments, videos, strict=True) if n == name]
            num_test = parts.count(2)
            assert num_test + parts.count(1) == len(parts)
            assert 1 <= num_test < len(parts)
            assert abs(num_test - fraction * len(parts)) <= 1


@given(members, st.integers(0, 9))
def test_an_added_video_moves_few_others(videos, seed):
    before = split_by_fraction(videos, 0.3, 1, seed)
    after = split_by_fraction([*videos, (videos[0][0], "new")], 0.3, 1, seed)
    assert sum(a != b for a, b in zip(before, after, strict=False)) <= 1


@given(st.integers(2, 12), st.integers(1, 11), st.integers(1, 6), st.integers(0, 9))
def test_groups_are_tested_equally_often(num_groups, size, num_splits, seed):
    names = [f"g{n % num_groups}" for n in range(5 * num_groups)]
    if size >= num_groups:
        with pytest.raises(UserError, match="expected fewer test groups"):
            split_by_group(names, size, num_splits, seed)
        return
    assignments = split_by_group(names, size, num_splits, seed)
    test_counts = Counter()
    for split in range(num_splits):
        train, test = (
            {name for name, parts in zip(names, assignments, strict=True) if parts[split] == part}
            for part in (1, 2)
        )
        assert not train & test and len(test) == size
        test_counts.update(test)
    counts = [test_counts[f"g{n}"] for n in range(num_groups)]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    "text",
    [
        "1 Archery\n2 Bowling\n",
        "Archery\nBowling\n",
        "1,Archery\r\n2, Bowling\r\n\r\n",
        "Archery 1\nBowling 2\n",
        "Archery,1\nBowling,2",
        '"1","Archery"\n"2","Bowling"\n',
        "2\tBowling\n1\tArchery\n",
        "1: Archery\n2: Bowling\n",
        "1. Archery\n2. Bowling\n",
        "1) Archery\n2) Bowling\n",
        "0|Archery\n1|Bowling\n",
    ],
)
def test_class_indices_of_many_formats_are_read(tmp_path, text):
    (tmp_path / "classInd.txt").write_bytes(text.encode())
    assert read_ucf101_classes(tmp_path) == ["Archery", "Bowling"]


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("1 Archery\n2\n", "'2'"),
        ("1 Archery\nv_Archery_g01_c01.avi 1 2\n", "'v_Archery_g01_c01.avi 1 2'"),
        ("number class\n1 Archery\n", "'number class'"),
        ("1 Archery\n2 archery\n", "'archery' on 2"),
        ("\n", "none"),
    ],
)
def test_an_invalid_class_index_is_an_error_of_one_line(tmp_path, text, description):
    (tmp_path / "classInd.txt").write_text(text)
    with pytest.raises(UserError) as error:
        read_ucf101_classes(tmp_path)
    message = str(error.value)
    assert message.startswith(f"{tmp_path}/classInd.txt: expected ")
    assert f"found {description}" in message and "\n" not in message
