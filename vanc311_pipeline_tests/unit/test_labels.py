"""Claims about names: how a label of the city is said to people, and that its slug leads back to it, whatever it is called."""

import string
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vanc311_pipeline.errors import printable
from vanc311_pipeline.reading import labels
from vanc311_pipeline.reading.labels import label_of, plain, slug, to_choose
from vanc311_pipeline.reading.names import UnknownName


def holding(*names: str) -> SimpleNamespace:
    """A release that has these names of every kind."""
    return SimpleNamespace(remembered=lambda *_: names)


@pytest.mark.parametrize(
    ("kind", "label", "name", "address"),
    [
        ("area", "Kensington-Cedar Cottage", "Kensington-Cedar Cottage", "kensington-cedar-cottage"),
        ("issue", "Missed Garbage Bin Pickup Case", "Missed garbage bin pickup", "missed-garbage-bin-pickup"),
        ("issue", "ZZ OLD - Tower Crane Site Survey Case", "Tower crane site survey (no longer used)", "tower-crane-site-survey"),
        ("issue", "Empty Homes Tax Request Case", "Empty Homes Tax request", "empty-homes-tax-request"),
        ("issue", "Empty Homes Enforcement Tip Case", "Empty homes enforcement tip", "empty-homes-enforcement-tip"),
        ("issue", "Van311 Feedback Case", "Van311 feedback", "van311-feedback"),
        ("issue", "Arterial St. Curbside Sign - New Request Case", "Arterial St. curbside sign: new request",
         "arterial-st-curbside-sign-new-request"),
        ("issue", "Traffic and Pedestrian Signal -Modify Request Case", "Traffic and pedestrian signal: modify request",
         "traffic-and-pedestrian-signal-modify-request"),
        ("issue", "Park Facility Maintenance Request", "Park facility maintenance request", "park-facility-maintenance-request"),
        ("issue", "Abandoned Non-Recyclables-Small Case", "Abandoned small items (non-recyclable)", "abandoned-non-recyclables-small"),
        ("department", "ENG - Sanitation Services", "Engineering: Sanitation Services", "eng-sanitation-services"),
        ("department", "VFRS - Operations - Emergency Services", "Vancouver Fire Rescue Services: Operations - Emergency Services",
         "vfrs-operations-emergency-services"),
        ("department", "311 Contact Centre", "311 Contact Centre", "311-contact-centre"),
        # Never seen so far.
        ("issue", "Moss on the Roof Case", "Moss on the roof", "moss-on-the-roof"),
        ("issue", "ZZ OLD - BIA Banner in Gastown Case", "BIA banner in Gastown (no longer used)", None),
        ("issue", "POTHOLE CASE", "Pothole", None), ("issue", "Case", "Case", None), ("issue", "ZZ OLD - ", "ZZ OLD - ", None),
        ("issue", "Brief Case", "Brief", None), ("department", "Eng", "Eng", None), ("department", "XYZ - Moss", "XYZ: Moss", None),
    ],
)  # fmt: skip
def test_a_label_is_said_in_plain_words_and_stands_in_addresses(kind, label, name, address):
    assert plain(kind, label) == name
    assert (slug(kind, label) == address) == (address is not None)


@pytest.mark.parametrize(
    ("label", "name"),
    [("1946 YORK AV", "1946 York Av"), ("1900 MAIN ST and E 2ND AV", "1900 Main St and E 2nd Av"),
     ("0 to 100 SW MARINE DRIVE", "0 to 100 SW Marine Drive"),
     ("1205A W 41ST AV", "1205A W 41st Av"), ("LAMEY'S MILL ROAD", "Lamey's Mill Road"), ("2600 MCGILL ST", "2600 McGill St"),
     ("MACDONALD ST", "Macdonald St"), ("BELLA-VISTA ST", "Bella-Vista St")],
)  # fmt: skip
def test_an_address_is_read_in_small_letters(label, name):
    assert plain("address", label) == plain("street", label) == name


def test_every_irregular_label_has_a_slug_of_its_own_words():
    listed = {(kind, label) for kind, group in labels._DATA["irregular"].items() for label in group}
    assert {(kind, label) for kind, label in listed if labels._LIKE_A_DIGEST.fullmatch(slug(kind, label))} == set()
    assert len({(kind, slug(kind, label)) for kind, label in listed}) == len(listed)
    assert all(labels._respelled(kind, slug(kind, label)) != label for kind, label in listed)


TWINS = ["Street Light Out Case", "street light out case", "Street-Light Out Case", "Street  Light Out", "STREET LIGHT OUT CASE",
         "Street Light Out?", "Strèet Light Out Case", "street-light-out", "ZZ OLD - Street Light Out Case"]  # fmt: skip
HOSTILE = ["/", "//example.org", "..", ".", "?", "%2F", "#", "-", "'", "\x00", "\x1a\x9b\u202e", "é", "ß", "名前", "🚮", "x" * 500,
           "=1", "brief", "eng", "Case", " Case", "ZZ OLD - ", "\ud800"]  # fmt: skip
WORDS = st.sampled_from([*"aAéß0-./' ", "Case", "case", "ZZ OLD - ", "Street Light", "street-light", "ENG - "])
LABELS = st.one_of(
    st.sampled_from(TWINS + HOSTILE), st.text(min_size=1), st.lists(WORDS, min_size=1, max_size=8).map("".join)
)
SHOWN_IN_PATHS = set(string.ascii_lowercase + string.digits + "-")


@pytest.mark.parametrize("kind", ["area", "issue", "department"])
@example(TWINS + HOSTILE)
@given(st.lists(LABELS, unique=True, min_size=1, max_size=30))
def test_a_slug_leads_back_to_its_label_whatever_others_there_are(kind, names):
    slugs = {label: slug(kind, label) for label in names}
    names = [*names, *(each for each in slugs.values() if each not in names)]  # some are called like another's slug
    for label in names:
        address = slug(kind, label)
        assert label_of(holding(*names), kind, address) == label
        assert address
        assert set(address) <= SHOWN_IN_PATHS
        assert len(address) <= 91
        assert plain(kind, label)


@example(TWINS + HOSTILE)
@given(st.lists(LABELS, unique=True, min_size=1, max_size=30))
def test_a_plain_name_that_is_chosen_alone_means_its_label(names):
    choices = to_choose(holding(*names), "issue")
    assert sorted(label for label, _, _ in choices) == sorted(names)
    for label, name, is_alone in choices:
        assert not is_alone or label_of(holding(*names), "issue", " ".join(printable(name).split())) == label


def test_a_plain_name_that_could_mean_two_is_not_chosen_alone():
    names = "Pothole Case", "ZZ OLD - Pothole Case", "Street Light Out Case"
    assert to_choose(holding(*names), "issue") == [
        ("Pothole Case", "Pothole", False),
        ("ZZ OLD - Pothole Case", "Pothole (no longer used)", True),
        ("Street Light Out Case", "Street light out", True),
    ]


@pytest.mark.parametrize(
    "text", ["Street Light Out Case", "street light out case", "street-light-out", "STREET-LIGHT-OUT", "Street light out", "street_light.out"]
)  # fmt: skip
def test_any_spelling_that_only_one_label_has_means_it(text):
    assert label_of(holding("Pothole Case", "Street Light Out Case"), "issue", text) == "Street Light Out Case"


@pytest.mark.parametrize(
    ("text", "suggestions"),
    [("poth-ole", ["Pothole Case"]), ("Kitsilanoo", []), ("", []), ("?", []), ("y" * 10_000, []),
     ("STREET LIGHT OUT CASE", ["street light out case", "Street Light Out Case"])],
)  # fmt: skip
def test_what_no_label_or_more_than_one_is_called_is_unknown_and_said_what_comes_near(text, suggestions):
    with pytest.raises(UnknownName) as refusal:
        label_of(holding("Pothole Case", "Street Light Out Case", "street light out case"), "issue", text)
    assert refusal.value.suggestions == suggestions
