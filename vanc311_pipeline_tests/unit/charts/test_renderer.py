"""Claims about the process that draws: what ends it costs one picture, and what it refuses is an error of that picture alone."""

import pytest

from vanc311_pipeline.charts.renderer import NotDrawn, Renderer

SPECIFICATION = {
    "data": {"values": [{"a": 1}]},
    "mark": "bar",
    "encoding": {"x": {"field": "a", "type": "quantitative"}},
}
DEADLY = {"title": "\x1a", **SPECIFICATION}  # a panic in Rust, which ends the process that it happens in


@pytest.fixture
def renderer():
    renderer = Renderer()
    yield renderer
    renderer.end()


def test_a_picture_that_ends_the_process_is_lost_and_the_next_is_drawn(renderer):
    for _ in range(2):
        with pytest.raises(NotDrawn, match="Its numbers are whole"):
            renderer.draw("vegalite_to_svg", DEADLY)
        assert renderer.draw("vegalite_to_svg", SPECIFICATION).startswith("<svg")


def test_a_picture_that_is_refused_does_not_end_the_process(renderer):
    assert renderer.draw("vegalite_to_png", SPECIFICATION, scale=2).startswith(b"\x89PNG")
    process = renderer.process
    with pytest.raises(NotDrawn) as raised:
        renderer.draw("vegalite_to_svg", {"mark": "no such mark"})
    assert "Vega-Lite" in str(raised.value.__cause__)
    assert renderer.draw("vegalite_to_svg", SPECIFICATION)
    assert renderer.process is process
