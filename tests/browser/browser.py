"""The shop of examples/live.rs, and a browser that shows its page."""

import json
import os
import shutil
import subprocess
import urllib.request

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

# Keeps the last answers that the page fetched, by query, so that tests compare the page with the same data.
KEEP_ANSWERS = """
window.answers = {};
window.fetches = { started: 0, ended: 0 };
const fetchUnkept = window.fetch;
window.fetch = async (url, options) => {
    fetches.started++;
    try {
        const answer = await fetchUnkept(url, options);
        answers[new URL(url, location).search] = await answer.clone().json();
        return answer;
    } finally {
        // After the page has drawn the answer.
        setTimeout(() => fetches.ended++);
    }
};
window.longTasks = [];
new PerformanceObserver((list) => {
    longTasks.push(...list.getEntries().map(({ duration }) => duration));
}).observe({ type: "longtask" });
"""

# The rows that exist as elements, from top to bottom.
ROWS = """
const rows = [...document.querySelectorAll("#rows > .row")];
rows.sort((a, b) => a.getAttribute("aria-rowindex") - b.getAttribute("aria-rowindex"));
return rows.map((row) => ({
    number: Number(row.dataset.number),
    kind: row.dataset.kind,
    level: Number(row.getAttribute("aria-level")),
    expanded: row.getAttribute("aria-expanded"),
    state: row.dataset.state,
    place: row.querySelector(".place").title,
    name: row.querySelector(".name").textContent,
    badge: row.querySelector(".badge").textContent,
    variables: Object.fromEntries([...row.querySelectorAll(".chip")].map((chip) =>
        [chip.dataset.variable, chip.querySelector(".value").textContent])),
}));
"""

# The rows of the timeline, with the start and the end of their bars in percent of the minute.
BARS = """
const rows = [...document.querySelectorAll("#bars > .row")];
rows.sort((a, b) => a.getAttribute("aria-rowindex") - b.getAttribute("aria-rowindex"));
return rows.map((row) => {
    const { left, width } = row.querySelector(".bar").style;
    return { number: Number(row.dataset.number), kind: row.dataset.kind, left: parseFloat(left),
        width: parseFloat(width) };
});
"""

# The texts in view whose contrast with their background is too low (WCAG AA).
UNREADABLE = """
const rgb = (color) => color.match(/[\\d.]+/g).map(Number);
const light = (color) => {
    const [r, g, b] = rgb(color).map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const back = (node) => {
    const color = getComputedStyle(node).backgroundColor;
    return rgb(color)[3] === 0 && node.parentElement ? back(node.parentElement) : color;
};
const unreadable = [];
let texts = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim()) continue;
    if (!node.checkVisibility() || node.matches(":disabled")) continue;
    texts++;
    const lights = [light(getComputedStyle(node).color), light(back(node))];
    const [low, high] = lights.sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) unreadable.push(`${contrast.toFixed(1)}: ${node.outerHTML.slice(0, 80)}`);
}
return [texts, unreadable];
"""


class Shop:
    """A process of the example."""

    def __init__(self, *arguments):
        command = [os.environ["LIVE"], *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.page = self.process.stdout.readline().split()[0]

    def get(self, url):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url) as answer:
            return answer.read().decode()

    def ledger(self):
        """Returns the shop's own records: the ids of its checkouts and of its leaks."""
        return json.loads(self.get(self.page.replace("/debug/contexts", "/ledger")))

    def close(self):
        self.process.terminate()
        self.process.communicate()


class Browser:
    def __init__(self):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        options.add_argument("--headless=new")
        options.add_argument("--no-sandbox")
        options.add_argument("--disable-dev-shm-usage")
        options.add_argument("--no-proxy-server")
        # Gray edges of letters, for pictures of few colors.
        options.add_argument("--disable-lcd-text")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source=KEEP_ANSWERS)

    def cdp(self, command, **parameters):
        return self.driver.execute_cdp_cmd(command, parameters)

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def resize(self, width, height):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.cdp("Emulation.setDeviceMetricsOverride", **size)

    def color_scheme(self, scheme):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.cdp("Emulation.setEmulatedMedia", features=[feature])

    def open(self, url):
        self.driver.get("about:blank")
        self.driver.get(url)

    def until(self, condition, seconds=20):
        """Waits until the condition holds, and returns its value."""
        return WebDriverWait(self.driver, seconds, poll_frequency=0.05).until(
            lambda _: condition(), f"not within {seconds} s"
        )

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.js("return document.querySelector(arguments[0])?.textContent", selector)

    def click(self, selector):
        self.find(selector).click()

    def fill(self, selector, text):
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def press(self, *keys):
        """Sends keys to the element that has the focus."""
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def answer(self, query):
        """Returns the last answer that the page fetched."""
        return self.js("return answers[arguments[0]]", query)

    def await_updates(self, number=1):
        """Waits until the page has fetched and drawn this many more answers."""
        before = self.js("return fetches.started")
        self.until(lambda: self.js("return fetches.ended") >= before + number)

    def await_frame(self):
        self.driver.execute_async_script(
            "requestAnimationFrame(() => setTimeout(arguments[0], 100))"
        )

    def pause(self):
        """Stops the updates, so that the page and `answer` are the same."""
        self.click("#pause")
        self.until(lambda: self.js("return fetches.started === fetches.ended"))

    def rows(self):
        return self.js(ROWS)

    def bars(self):
        return self.js(BARS)

    def row(self, number):
        """Returns the row of a context, or None."""
        return next((row for row in self.rows() if row["number"] == number), None)
