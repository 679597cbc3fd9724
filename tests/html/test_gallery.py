"""The gallery's page in a real browser: its pictures, its controls, its manners."""

import base64
import io

import numpy as np
import pytest
from headless_browser import open_browser
from PIL import Image

from utils.explain.galleries import METHOD_NAMES
from utils.explain.map_sets import METHODS, MapSet, wanted_classes
from utils.explain.overlay import overlay
from utils.html.gallery import encode_layer, gallery_data, gallery_html
from utils.training.evaluation import Predictions

SIDES = {"last activation": 8, "end of stage 3": 8, "end of stage 2": 16, "end of stage 1": 32}
NAMES = ("cat", "dog", "frog", "automobile")
COUNT = 24
READY = "document.documentElement.dataset.ready === 'yes'"


class Sample:
    """Images, predictions and maps out of a hat, and their page."""

    def __init__(self):
        rng = np.random.default_rng(0)
        odds = rng.dirichlet(np.full(len(NAMES), 0.5), COUNT)
        self.predictions = Predictions(rng.integers(0, len(NAMES), COUNT), odds)
        self.images = rng.integers(0, 256, (COUNT, 32, 32, 3), "uint8")
        self.wanted = wanted_classes(self.predictions)
        self.maps = {}
        for title, side in SIDES.items():
            maps = rng.integers(
                0, 256, (len(METHODS), len(self.wanted.images), side, side), "uint8"
            )
            maps[rng.random(maps.shape) < 0.5] = 0
            maps[..., 0, 0] = 255
            self.maps[title] = maps
        self.maps["last activation"][0, self.wanted.rows[:, 2]] = 0  # Grad-CAM, second class
        positions = np.arange(COUNT) * 7
        arguments = (self.images, positions, self.predictions, self.wanted, NAMES)
        layers = [encode_layer(MapSet("x", maps), title) for title, maps in self.maps.items()]
        about = {"title": "Tiny & gallery", "warning": "Only <noise>.", "left_out": ""}
        about |= {"choice": "All.", "network": "Network: none."}
        self.page = gallery_html(gallery_data(*arguments) | {"layers": layers}, about)


@pytest.fixture(scope="module")
def sample():
    return Sample()


@pytest.fixture(scope="module")
def path(sample, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "gallery.html"
    path.write_text(sample.page, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def running():
    with open_browser() as browser:
        yield browser


@pytest.fixture
def browser(running, path):
    running.open(path)
    running.wait_for(READY)
    running.settle()
    return running


def pick(browser, control, value):
    """Sets a control as its own list or slider does, with the events that follow."""
    browser.run(
        f"(() => {{ const c = document.getElementById('{control}'); c.value = '{value}';"
        "for (const type of ['input', 'change'])"
        " c.dispatchEvent(new Event(type, { bubbles: true })); })()"
    )
    browser.settle()


def picture(browser, canvas):
    """The pixels of a canvas, uint8 (side, side, 3)."""
    address = browser.run(f"document.querySelector('{canvas}').toDataURL('image/png')")
    content = base64.b64decode(address.split(",")[1])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def chosen(browser):
    """The number of the chosen image among those of the page."""
    (number,) = browser.run(
        "[...document.querySelectorAll('[aria-selected=true]')].map((tile) => tile.number)"
    )
    return number


def seen(browser):
    """All that a reader can see of the pictures: those in the list and that of the chosen image."""
    return [picture(browser, f".tile:nth-child({k}) canvas").tobytes() for k in (1, 2)] + [
        picture(browser, "#heat").tobytes()
    ]


def status(browser):
    return browser.run("document.getElementById('status').textContent")


@pytest.mark.parametrize("layer", range(len(SIDES)))
def test_pictures_are_those_of_overlay(browser, sample, layer):
    """Within two levels of 255: the page rounds the colors of the heat, `overlay` does not."""
    title = list(SIDES)[layer]
    pick(browser, "layer", layer)
    for method, explained, opacity in ((0, 0, 60), (3, 2, 100), (1, 1, 35)):
        pick(browser, "method", method)
        pick(browser, "explained", explained)
        pick(browser, "opacity", opacity)
        number = chosen(browser)
        heat = sample.maps[title][method, sample.wanted.rows[number, explained]] / 255
        for canvas, size in (("#heat", 256), ('.tile[aria-selected="true"] canvas', 128)):
            expected = overlay(sample.images[number], heat, size=size, max_opacity=opacity / 100)
            gap = np.abs(picture(browser, canvas).astype(int) - expected)
            assert gap.max() <= 2 and gap.mean() < 0.1, (canvas, method)
    alone = overlay(sample.images[number], np.zeros((8, 8)))
    assert np.abs(picture(browser, "#plain").astype(int) - alone).max() <= 1


def test_single_pixels(browser, sample):
    browser.click("#sharp")
    assert "single pixels" in status(browser)
    expected = np.kron(sample.images[chosen(browser)], np.ones((8, 8, 1), "uint8"))
    np.testing.assert_array_equal(picture(browser, "#plain"), expected)


@pytest.mark.parametrize(
    "control, value, said",
    [
        ("method", 2, "LayerCAM for the predicted class"),
        ("method", 4, "Eigen-CAM, which asks for no class"),
        ("layer", 3, "layer: end of stage 1 (32 × 32)"),
        ("explained", 2, "Grad-CAM for the second most probable"),
        ("opacity", 100, "opacity 100 %"),
        ("order", "unsure", "24 of 24 images"),
        ("truth", 1, " of 24 images"),
        ("predicted", 2, " of 24 images"),
    ],
)
def test_each_control_changes_the_pictures_and_says_so(browser, control, value, said):
    before = seen(browser)
    pick(browser, control, value)
    changed = [old != new for old, new in zip(before, seen(browser))]
    assert changed == [True, True, control != "order"]  # in another order the same image is chosen
    assert said in status(browser)
    assert browser.run("document.getElementById('explained').disabled") == (value == 4)


def test_controls_work_by_keyboard_alone(browser):
    before = seen(browser)
    assert browser.run("document.activeElement === document.body")
    order = []
    for _ in range(10):
        browser.press("Tab")
        order.append(browser.run("document.activeElement.id || document.activeElement.className"))
    controls = "method explained layer opacity order truth predicted sharp".split()
    assert order[0] == "skip" and order[1:9] == controls and order[9].startswith("tile")
    browser.run("document.getElementById('opacity').focus()")
    browser.press("ArrowRight")
    assert "opacity 65 %" in status(browser) and seen(browser) != before
    browser.run("document.getElementById('sharp').focus()")
    browser.press(" ")
    assert "single pixels" in status(browser)


def test_arrow_keys_walk_over_the_images(browser, sample):
    surest = np.argsort(-sample.predictions.confidence, kind="stable")
    columns = browser.run(
        "getComputedStyle(document.getElementById('images')).gridTemplateColumns.split(' ').length"
    )
    assert chosen(browser) == surest[0] and columns > 3
    browser.run("document.querySelector('[aria-selected=true]').focus()")
    place = 0
    steps = {"ArrowRight": 1, "ArrowDown": columns, "ArrowLeft": -1, "ArrowUp": -columns}
    for key in (*steps, "ArrowUp"):  # the last one would leave the list
        browser.press(key)
        place += steps[key] if key != "ArrowUp" or place >= columns else 0
        assert chosen(browser) == surest[place]
        assert browser.run("document.activeElement.number") == surest[place]
    for key, place in (("End", -1), ("Home", 0)):
        browser.press(key)
        assert chosen(browser) == surest[place]
    browser.click(".tile:nth-child(3)")
    assert chosen(browser) == surest[2]
    assert browser.run("document.querySelectorAll('.tile[tabindex=\"0\"]').length") == 1


def test_the_focus_is_not_hidden_behind_the_chosen_image(running, path):
    """On a phone that one stays on top of the window."""
    running.open(path, 360, height=700)
    running.wait_for(READY)
    running.run("document.querySelector('[aria-selected=true]').focus()")
    for key in ("End", "ArrowUp", "ArrowUp", "ArrowUp"):
        running.press(key)
        fixed, focused = (
            running.run(f"document.{element}.getBoundingClientRect().toJSON()")
            for element in ("getElementById('detail')", "activeElement")
        )
        assert fixed["top"] == 0 and fixed["bottom"] <= focused["top"]
        assert focused["top"] < 700


def test_images_are_described(browser, sample):
    labels = browser.run(
        "[...document.querySelectorAll('.tile')].map((t) => [t.number, t.ariaLabel])"
    )
    assert len(labels) == COUNT
    for number, label in labels:
        true = NAMES[sample.predictions.labels[number]]
        predicted = NAMES[sample.predictions.predicted[number]]
        percent = f"{100 * sample.predictions.confidence[number]:.0f}\u00a0%"
        verdict = f"{predicted} with {percent}, right"
        if true != predicted:
            verdict = f"{true}, taken for {predicted} with {percent}"
        assert label == f"Test image {7 * number}: {verdict}"
    number = chosen(browser)
    name = NAMES[sample.predictions.predicted[number]]
    heat = "document.getElementById('heat').ariaLabel"
    assert browser.run(heat) == f"Heatmap over the image: Grad-CAM for {name}"
    pick(browser, "explained", 2)
    assert browser.run(heat).endswith(": nothing speaks for it here")


def test_filters_that_leave_nothing_say_so(browser, sample):
    pairs = set(zip(sample.predictions.labels.tolist(), sample.predictions.predicted.tolist()))
    true, predicted = next((a, b) for a in range(4) for b in range(4) if (a, b) not in pairs)
    pick(browser, "truth", true)
    pick(browser, "predicted", predicted)
    assert status(browser).startswith("No image fits both classes")
    assert browser.run("document.querySelectorAll('.tile').length") == 0
    pick(browser, "predicted", "")
    right = int((sample.predictions.labels == true).sum())
    assert f"{right} of 24 images" in status(browser)
    assert browser.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_request_no_complaint_no_overflow(running, path, scheme):
    running.open(path, scheme=scheme)
    running.wait_for(READY)
    for width in (1280, 768, 360):
        running.resize(width)
        assert running.overflow() == 0
    assert running.requests == [path.as_uri()]
    assert running.complaints == []
    ground = running.run("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 23, 26)"}[scheme]
    assert running.run("document.getAnimations().length") == 0


@pytest.mark.parametrize("scheme, width", [("light", 1280), ("dark", 360)])
def test_axe_has_no_serious_finding(running, path, scheme, width):
    running.open(path, width, scheme=scheme)
    running.wait_for(READY)
    running.run("document.querySelector('details').open = true")
    assert running.axe() == []


def test_text_is_escaped(sample):
    assert "<title>Tiny &amp; gallery</title>" in sample.page
    assert "Only &lt;noise&gt;." in sample.page
    assert sample.page.count("</script>") == 2


def test_every_method_is_explained(sample):
    for method in METHODS:
        assert f"<dt>{METHOD_NAMES[method]}</dt>" in sample.page
