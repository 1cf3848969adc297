"""One figure has one unit, in a sentence of the API and in a tile of the page."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leaderboard import wording
from leaderboard.wording import grams_text
from views import format as fmt


@given(st.floats(1e-9, 1e5))
def test_a_sentence_has_the_units_of_the_tiles_beside_it(value: float) -> None:
    for text, unit in (
        (grams_text(value), fmt.co2_unit([value])),
        (wording._text(value, wording._HOURS), fmt.energy_unit([value])),
    ):
        assert text.split()[1] == unit.label
