"""The claims table: complete, strict about what it records, honest about what was not tested."""

import json
from dataclasses import replace

import pytest

from spinlib import claims

IDS = {
    "01": [f"W{n}" for n in range(1, 11)],
    "02": [f"K{n}" for n in range(1, 10)],
    "03": [f"T{n}" for n in range(1, 9)],
    "04": [f"V{n}" for n in range(1, 10)],
}


def test_catalogue_has_all_claims_of_the_four_papers():
    found = {study: list(claims.of_study(study)) for study in IDS}
    assert found == IDS
    assert sum(map(len, found.values())) == 36
    for study in IDS:
        for claim in claims.of_study(study).values():
            assert claim.statement and claim.paper
            assert claim.verdict == "not tested at this size" and claim.reason


def test_all_claims_stand_in_the_table_before_any_run(tmp_path):
    rows = claims.of_largest_runs(tmp_path)
    assert [row.id for row in rows][:36] == [name for ids in IDS.values() for name in ids]
    assert {row.verdict for row in rows} == {"not tested at this size"}


def row(name: str, profile: str, verdict: str, ours: float | None) -> claims.Claim:
    return replace(
        claims.of_study("04")[name], profile=profile, verdict=verdict, ours=ours, reason="r"
    )


def keep(figures, profile, *rows):
    folder = figures / profile / "04"
    folder.mkdir(parents=True)
    claims.write(list(rows), folder)


def found(figures, name):
    (one,) = [row for row in claims.of_largest_runs(figures) if row.id == name]
    return one


def test_the_largest_profile_that_tested_a_claim_speaks_for_it(tmp_path):
    keep(
        tmp_path,
        "laptop",
        row("V1", "laptop", "partly", 1.0),
        row("V2", "laptop", "reproduced", 2.0),
        row("V3", "laptop", "reproduced", 3.0),
    )
    keep(
        tmp_path,
        "paper",
        row("V1", "paper", "not reproduced", 10.0),
        row("V2", "paper", "not tested at this size", None),
        # A run with other parameters than the profile's own is not the profile's result.
        row("V3", "paper with seed=3", "not reproduced", 30.0),
    )
    keep(tmp_path, "smoke", row("V4", "smoke", "reproduced", 4.0))
    assert found(tmp_path, "V1").ours == 10.0
    assert found(tmp_path, "V2").ours == 2.0
    assert found(tmp_path, "V3").ours == 3.0
    assert found(tmp_path, "V4").ours is None


def test_claims_file_has_exactly_the_agreed_fields(tmp_path):
    keep(tmp_path, "laptop", row("V1", "laptop", "partly", 1.0))
    (entry,) = json.loads((tmp_path / "laptop/04/claims.json").read_text())
    names = "id statement paper ours uncertainty unit verdict reason profile device commit seconds"
    assert list(entry) == [*names.split(), "peak_memory"]


def test_a_broken_claims_file_is_named(tmp_path):
    (tmp_path / "claims.json").write_text('[{"id": "V1"}]')
    with pytest.raises(ValueError, match=r"claims\.json is no claims table"):
        claims.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"verdict": "nearly"}, "is no verdict"),
        ({"verdict": "reproduced", "ours": None}, "needs our value"),
        ({"verdict": "not reproduced", "ours": 1.0, "reason": ""}, "needs a reason"),
    ],
)
def test_a_row_that_nobody_could_stand_behind_is_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        claims.check(replace(claims.of_study("04")["V7"], **change))


@pytest.mark.parametrize(
    ("ours", "uncertainty", "text"),
    [
        (None, None, "–"),
        (-2.057512, 0.000123, "−2.05751 ± 0.00012"),
        (-2.057512, None, "−2.0575"),
        (1234.5, 56.0, "1234 ± 56"),
        (957.3, 112.4, "960 ± 110"),
        (-1e-10, 3e-11, "−1e−10 ± 3e−11"),
        (3.2e8, 1.0e7, "3.2e+08 ± 1e+07"),
        ("5 of 6", None, "5 of 6"),
        ("1 and 2 nm", "0.1 and 0.3 nm", "1 and 2 nm (errors: 0.1 and 0.3 nm)"),
    ],
)
def test_value_is_written_with_two_digits_of_its_uncertainty(ours, uncertainty, text):
    claim = replace(claims.of_study("04")["V7"], ours=ours, uncertainty=uncertainty)
    assert claims.value(claim) == text


def test_unknown_study_is_refused():
    with pytest.raises(ValueError, match=r"no study '99'"):
        claims.of_study("99")


def test_a_claim_in_words_says_paper_ours_and_why():
    row = replace(
        claims.of_study("04")["V7"], ours=-2.0575, uncertainty=1e-4, verdict="partly", reason="<b>"
    )
    words = claims.in_words(row)
    assert words.startswith("**V7: partly.** ") and row.paper in words
    assert "*Here:* −2.05750 ± 0.00010 J" in words and words.endswith("*Why:* &lt;b&gt;.")
