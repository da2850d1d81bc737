"""The router map: colours, curves, words."""

import matplotlib
import numpy as np
import pytest

from HeadCTFindingsLib.core import router_map

BLEED = "subdural_hematoma"


def test_the_colours_are_viridis_to_the_eye():
    values = np.linspace(0, 1, 101)
    wanted = np.array([matplotlib.colormaps["viridis"](value)[:3] for value in values]) * 255
    got = router_map.colours(values)
    assert got.dtype == np.uint8
    assert np.abs(got[:, :3].astype(float) - wanted).max() < 8
    assert (got[:, 3] == 255).all()


def test_lightness_grows_with_the_value_for_every_kind_of_colour_vision():
    lightness = router_map.colours(np.linspace(0, 1, 256))[:, :3].astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -1).all()
    assert lightness[-1] - lightness[0] > 150


def test_what_is_out_of_range_or_no_number_has_a_colour_too():
    np.testing.assert_array_equal(router_map.colours(np.array([-1, 2, np.nan])), router_map.colours(np.array([0.0, 1.0, 0.0])))


def test_the_picture_has_one_pixel_for_each_slice_and_expert_with_the_vertex_at_the_top(view):
    shown = view()
    picture = router_map.picture(shown)
    assert (picture.width, picture.height, len(picture.data)) == (6, 10, 6 * 10 * 4)
    pixels = np.frombuffer(picture.data, np.uint8).reshape(10, 6, 4)
    np.testing.assert_array_equal(pixels[0, 2], router_map.colours(shown.router[9, 2] / router_map.top(shown)))
    lying = router_map.picture(shown, cell_width=3, cell_height=2, upright=False)
    assert (lying.width, lying.height) == (30, 12)
    assert router_map.picture(view(experts=0)).width == 0


def test_the_scale_ends_just_above_the_largest_weight(view):
    shown = view()
    assert shown.router.max() <= router_map.top(shown) < shown.router.max() + 0.1
    bar, ticks = router_map.legend(shown)
    assert (bar.width, bar.height) == (64, 1)
    assert [text for _, text in ticks] == ["0", "even 0.17", f"{router_map.top(shown):.1f}"]
    assert [text for _, text in router_map.legend(view(experts=0))[1]] == ["0", "1.0"]


def test_a_curve_is_scaled_to_its_largest_value():
    np.testing.assert_allclose(router_map.curve(np.array([-1.0, 0.5, 2.0])), [0, 0.25, 1])
    np.testing.assert_allclose(router_map.curve(np.array([0.5, 2.0]), most=1), [0.5, 1])
    np.testing.assert_allclose(router_map.curve(np.zeros(3)), 0)


@pytest.mark.parametrize("upright", [True, False])
def test_clicking_where_a_slice_is_drawn_leads_to_it(upright):
    for index in range(10):
        assert router_map.slice_at(router_map.place_of(index, 10, upright), 10, upright) == index
    assert router_map.slice_at(-0.2, 10, upright) == (9 if upright else 0)
    assert router_map.slice_at(1.2, 10, upright) == (0 if upright else 9)


def test_hovering_tells_the_exact_values(view, catalogue):
    shown = view({BLEED: 4})
    text = router_map.hover(shown, 4, expert=2, key=BLEED, catalogue=catalogue)
    assert "Slice 5 of 10, I 24 mm" in text
    assert f"Expert 3: router weight {shown.router[4, 2]:.3f}" in text
    assert "Evidence for Subdural hematoma: +6.000 logits" in text
    assert f"Attention {100 * shown.attention[4]:.1f} %" in text
    assert "Router " in router_map.hover(shown, 4)
    assert "Router" not in router_map.hover(view(experts=0), 4, key=BLEED)


def test_a_model_of_volumes_has_a_bar_for_each_expert_and_says_why(view):
    shown = view(level="volume")
    bars = router_map.bars(shown)
    assert [bar.weight for bar in bars] == pytest.approx(shown.router[0])
    assert bars[0].text.startswith("Expert 1: 0.")
    assert "volume as a whole" in router_map.why(shown)
    assert router_map.bars(view()) == ()
    assert "no diagnosis" in router_map.why(view())
    assert "no router" in router_map.why(view(experts=0))


def test_the_overlay_names_slice_attention_and_top_evidence(view, catalogue):
    shown = view({BLEED: 4})
    text = router_map.overlay_text(shown, 4, catalogue)
    assert text.splitlines()[0].startswith("Slice 5/10   attention")
    assert "Subdural hematoma +6.00" in text
    assert BLEED in router_map.overlay_text(shown, 4)
    assert "Outside" in router_map.overlay_text(shown, None)
