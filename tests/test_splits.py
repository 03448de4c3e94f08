"""Splits that are drawn: even, steady when videos come and go, and whole groups on one side."""

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
    marks = split_by_fraction(videos, fraction, count, seed)
    assert marks == split_by_fraction(videos, fraction, count, seed)
    for split in range(count):
        for name in {name for name, _ in videos}:
            parts = [m[split] for m, (n, _) in zip(marks, videos, strict=True) if n == name]
            tested = parts.count(2)
            assert tested + parts.count(1) == len(parts)
            assert 1 <= tested < len(parts)
            assert abs(tested - fraction * len(parts)) <= 1


@given(members, st.integers(0, 9))
def test_a_video_more_moves_few_others(videos, seed):
    before = split_by_fraction(videos, 0.3, 1, seed)
    after = split_by_fraction([*videos, (videos[0][0], "new")], 0.3, 1, seed)
    assert sum(a != b for a, b in zip(before, after, strict=False)) <= 1


@given(st.integers(2, 12), st.integers(1, 11), st.integers(1, 6), st.integers(0, 9))
def test_groups_take_turns(number, test, count, seed):
    names = [f"g{n % number}" for n in range(5 * number)]
    if test >= number:
        with pytest.raises(UserError, match="expected fewer test groups"):
            split_by_group(names, test, count, seed)
        return
    marks = split_by_group(names, test, count, seed)
    tested = Counter()
    for split in range(count):
        sides = [{n for n, m in zip(names, marks, strict=True) if m[split] == p} for p in (1, 2)]
        assert not sides[0] & sides[1] and len(sides[1]) == test
        tested.update(sides[1])
    assert max(tested.values()) - min(tested[f"g{n}"] for n in range(number)) <= 1


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
def test_a_class_index_is_read_as_people_have_it(tmp_path, text):
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
def test_a_class_index_that_is_none_is_told_in_a_line(tmp_path, text, description):
    (tmp_path / "classInd.txt").write_text(text)
    with pytest.raises(UserError) as error:
        read_ucf101_classes(tmp_path)
    line = str(error.value)
    assert line.startswith(f"{tmp_path}/classInd.txt: expected ") and f"found {description}" in line
    assert "\n" not in line
