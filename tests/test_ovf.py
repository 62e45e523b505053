"""OVF files: there and back, files as other programs write them, and damaged headers."""

import struct

import numpy as np
import pytest
import torch

from spinlib.ovf import ENCODINGS, Ovf, OvfError, read_ovf, write_ovf


def state(height=5, width=7, seed=0):
    spins = torch.randn(3, height, width, generator=torch.Generator().manual_seed(seed))
    return spins / spins.norm(dim=0)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_round_trip_keeps_every_bit(tmp_path, encoding):
    spins = state()
    write_ovf(tmp_path / "m.ovf", spins, (4e-9, 5e-9, 1e-9), encoding=encoding, title="m")
    back = read_ovf(tmp_path / "m.ovf")
    assert np.array_equal(back.values[0].astype(np.float32), spins.numpy())
    assert back.cell == (4e-9, 5e-9, 1e-9)
    assert back.title == "m"
    torch.testing.assert_close(back.spins, spins[None], atol=1e-6, rtol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["m.ovf"]
    header = (tmp_path / "m.ovf").read_bytes()[:1000]
    for line in (b"ybase: 2.5e-09", b"valuelabels: m_x m_y m_z", b"valueunits: 1 1 1"):
        assert b"\n# " + line + b"\n" in header


@pytest.mark.parametrize("encoding", ["text", "binary 8"])
def test_round_trip_of_layers_scalars_and_doubles(tmp_path, encoding):
    values = np.random.default_rng(0).normal(size=(3, 1, 4, 6)) * 8e5
    write_ovf(tmp_path / "h.ovf", values, 2e-9, encoding=encoding, title="H demag", units=("A/m",))
    back = read_ovf(tmp_path / "h.ovf")
    assert np.array_equal(back.values, values)
    assert back.cell == (2e-9,) * 3
    assert back.title == "H demag"
    header = (tmp_path / "h.ovf").read_bytes()[:1000]
    assert b"\n# valuelabels: H_demag_0\n# valueunits: A/m\n" in header
    with pytest.raises(OvfError, match="3 layers of 1 components"):
        _ = back.spins


def test_spins_are_unit_vectors_and_vacancies_stay_empty():
    values = 8e5 * state().numpy()[None]
    values[..., 0, :] = 0
    spins = Ovf(values, (1e-9,) * 3).spins
    torch.testing.assert_close(spins[:, :, 1:].norm(dim=1), torch.ones(1, 4, 7))
    assert (spins[:, :, 0] == 0).all()


# A file laid out by hand after the OVF 2.0 description: x runs fastest, then y.
HAND = b"""# OOMMF OVF 2.0
#
# Segment count: 1
# Begin: Segment
# Begin: Header
# Title: m
# Desc: Total simulation time:  1e-09  s
# meshunit: nm   ## a comment
# meshtype: rectangular
# xbase: 2
# ybase: 2
# zbase: 0.5
# xstepsize: 4
# ystepsize: 4
# zstepsize: 1
# xmin: 0
# ymin: 0
# zmin: 0
# xmax: 8
# ymax: 4
# zmax: 1
# xnodes: 2
# ynodes: 1
# znodes: 1
# valuedim: 3
# valuelabels: m_x m_y m_z
# valueunits: 1 1 1
# End: Header
# Begin: Data Text
1 0 0
0 0 -1
# End: Data Text
# End: Segment
"""


def test_a_file_by_hand(tmp_path):
    (tmp_path / "hand.ovf").write_bytes(HAND)
    field = read_ovf(tmp_path / "hand.ovf")
    assert field.values.tolist() == [[[[1, 0]], [[0, 0]], [[0, -1]]]]
    assert field.cell == pytest.approx((4e-9, 4e-9, 1e-9))


def by_hand(encoding, numbers):
    head, _, _ = HAND.partition(b"# Begin: Data Text")
    return (
        head
        + f"# Begin: Data {encoding}\n".encode()
        + numbers
        + f"\n# End: Data {encoding}\n# End: Segment\n".encode()
    )


@pytest.mark.parametrize(
    ("encoding", "layout", "check"),
    [("Binary 4", "<7f", 1234567.0), ("Binary 8", "<7d", 123456789012345.0)],
)
def test_binary_data_are_little_endian_behind_their_check_value(tmp_path, encoding, layout, check):
    numbers = struct.pack(layout, check, 1, 0, 0, 0, 0, -1)
    (tmp_path / "b.ovf").write_bytes(by_hand(encoding, numbers))
    assert read_ovf(tmp_path / "b.ovf").values.tolist() == [[[[1, 0]], [[0, 0]], [[0, -1]]]]
    write_ovf(
        tmp_path / "ours.ovf",
        np.array([[[1, 0]], [[0, 0]], [[0, -1]]], np.float32),
        4e-9,
        encoding=encoding.lower(),
    )
    assert numbers in (tmp_path / "ours.ovf").read_bytes()


def test_version_one_is_big_endian_with_a_multiplier(tmp_path):
    head = HAND.replace(b"# OOMMF OVF 2.0", b"# OOMMF: rectangular mesh v1.0")
    head = head.replace(
        b"# valuedim: 3\n# valuelabels: m_x m_y m_z\n# valueunits: 1 1 1\n",
        b"# valueunit: A/m\n# valuemultiplier: 10\n",
    )
    head, _, _ = head.partition(b"# Begin: Data Text")
    numbers = struct.pack(">7f", 1234567.0, 1, 0, 0, 0, 0, -1)
    (tmp_path / "old.ovf").write_bytes(
        head + b"# Begin: Data Binary 4\n" + numbers + b"\n# End: Data Binary 4\n"
    )
    field = read_ovf(tmp_path / "old.ovf")
    assert field.values.tolist() == [[[[10, 0]], [[0, 0]], [[0, -10]]]]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"# OOMMF OVF 2.0", b"# something", "first line"),
        (b"# OOMMF OVF 2.0", b"# OOMMF: irregular mesh v1.0", "first line"),
        (b"Segment count: 1", b"Segment count: 2", "'2' segments"),
        (b"rectangular", b"irregular", "mesh is 'irregular'"),
        (b"# xnodes: 2\n", b"", "no 'xnodes'"),
        (b"xnodes: 2", b"xnodes: two", "xnodes = 'two'"),
        (b"xnodes: 2", b"xnodes: -2", "no possible count"),
        (b"xnodes: 2", b"xnodes: 1.5", "no possible count"),
        (b"xnodes: 2", b"xnodes: 1e300", "no possible count"),
        (b"xnodes: 2", b"xnodes: 200000000", "more than"),
        (b"xnodes: 2", b"xnodes: 3", "promises 9 numbers and 6"),
        (b"valuedim: 3", b"valuedim: 0", "no possible count"),
        (b"meshunit: nm", b"meshunit: furlong", "'furlong'"),
        (b"xstepsize: 4", b"xstepsize: 0", "not positive"),
        (b"xstepsize: 4", b"xstepsize: nan", "not a number"),
        (b"Begin: Data Text", b"Begin: Data Binary 2", "'Data Binary 2'"),
        (b"Begin: Data Text", b"Begin: Data Binary 8", "cut short"),
        (b"# Begin: Data Text", b"# Title: x", "without a leading '#'"),
        (b"0 0 -1", b"0 0 up", "not numbers"),
        (b"0 0 -1", b"0 0", "promises 6 numbers and 5"),
    ],
)
def test_malformed_headers_are_sentences(tmp_path, old, new, words):
    path = tmp_path / "bad.ovf"
    assert old in HAND
    path.write_bytes(HAND.replace(old, new))
    with pytest.raises(OvfError, match=words) as caught:
        read_ovf(path)
    message = str(caught.value)
    assert "bad.ovf" in message and message.endswith(".") and "\n" not in message


def test_damaged_binary_data_are_sentences(tmp_path):
    path = tmp_path / "bad.ovf"
    good = by_hand("Binary 4", struct.pack("<7f", 1234567.0, 1, 0, 0, 0, 0, -1))
    for content, words in (
        (good[:-60], "cut short|no 'End: Data'"),
        (by_hand("Binary 4", struct.pack(">7f", 1234567.0, 1, 0, 0, 0, 0, -1)), "check value"),
        (by_hand("Binary 4", struct.pack("<9f", 1234567.0, *range(8))), "no 'End: Data'"),
        (HAND[:200], "before a 'Begin: Data' line"),
        (b"", "first line"),
    ):
        path.write_bytes(content)
        with pytest.raises(OvfError, match=words):
            read_ovf(path)
    with pytest.raises(OvfError, match="cannot be read"):
        read_ovf(tmp_path / "missing.ovf")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"values": np.zeros((4, 4))}, "shape"),
        ({"values": np.full((3, 2, 2), np.nan)}, "NaN"),
        ({"cell": -1e-9}, "positive sides"),
        ({"cell": (1e-9, 1e-9)}, "positive sides"),
        ({"encoding": "binary 2"}, "'binary 2'"),
        ({"title": "two\nlines"}, "single lines"),
    ],
)
def test_refused_states_leave_no_file(tmp_path, change, words):
    arguments = {"values": np.ones((3, 2, 2)), "cell": 1e-9} | change
    with pytest.raises(OvfError, match=words):
        write_ovf(tmp_path / "m.ovf", **arguments)
    assert not list(tmp_path.iterdir())
    with pytest.raises(OvfError, match="cannot be written"):
        write_ovf(tmp_path / "no folder" / "m.ovf", np.ones((3, 2, 2)), 1e-9)


def test_numbers_too_large_for_their_encoding_are_refused(tmp_path):
    with pytest.raises(OvfError, match="need encoding='binary 8'"):
        write_ovf(tmp_path / "a.ovf", np.full((1, 2, 2), 1e300), 1e-9)
    write_ovf(tmp_path / "a.ovf", np.full((1, 2, 2), 1e300), 1e-9, encoding="binary 8")
