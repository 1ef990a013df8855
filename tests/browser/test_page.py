"""The page of `contextvar::inspect` in a browser, served by examples/live.rs under its own load."""

import os
import unittest
from io import BytesIO

from selenium.webdriver.common.keys import Keys

from browser import UNREADABLE, Browser, Shop

SCRIPT = "<script>alert(1)</script>"
SECRET = "secret-of-user"
# The directory for pictures, if the run should write them.
PICTURES = os.environ.get("SCREENSHOTS")


def setUpModule():
    global shop, browser
    shop = Shop()
    unittest.addModuleCleanup(shop.close)
    browser = Browser()
    unittest.addModuleCleanup(browser.driver.quit)
    # The first leak, a search and some checkouts.
    browser.until(lambda: shop.ledger()["leaked"] and len(shop.ledger()["checkouts"]) > 3)


def picture(name, scroll=""):
    """Writes a picture for the documentation, if the run should write pictures."""
    if not PICTURES:
        return
    from PIL import Image

    browser.resize(1280, 640)
    browser.await_frame()
    browser.js(scroll)
    browser.await_frame()
    image = Image.open(BytesIO(browser.driver.get_screenshot_as_png())).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(f"{PICTURES}/{name}.png", optimize=True)


def value(context, name):
    """Returns the text of a variable in the JSON of a context, or None."""
    return next((it["value"] for it in context["variables"] if it["name"] == name), None)


def expected_rows(contexts):
    """Returns the rows of all contexts, in the order of the answer, when all trees are expanded."""
    levels, rows = {None: 0}, []
    parents = {context["parent"] for context in contexts}
    for context in contexts:
        levels[context["number"]] = level = levels[context["parent"]] + 1
        row = {"number": context["number"], "kind": context["kind"], "level": level}
        row["expanded"] = "true" if context["number"] in parents else None
        row["state"] = "running" if context["running_on"] else "idle"
        if context["finished_us"] is not None:
            row["state"] = "finished"
        row["place"] = f"{context['file']}:{context['line']}"
        row["name"] = context["name"] or ""
        row["variables"] = {it["name"]: it["value"] for it in context["variables"]}
        rows.append(row)
    return rows


class PageTest(unittest.TestCase):
    def setUp(self):
        # Tall enough for all rows.
        self.open(height=2500)

    def open(self, height=800, width=1280, page=None, hash=""):
        browser.resize(width, height)
        browser.color_scheme("light")
        browser.open((page or shop.page) + hash)
        browser.until(lambda: browser.js("return fetches.ended > 0"))

    def tearDown(self):
        # The log has the errors of scripts, and the content that the content security policy blocked.
        self.assertEqual(browser.driver.get_log("browser"), [])

    def roots(self):
        return [row["number"] for row in browser.rows() if row["level"] == 1]

    def root_of(self, number, contexts=None):
        contexts = contexts or browser.answer("?contexts")["contexts"]
        parents = {it["number"]: it["parent"] for it in contexts}
        while parents[number] is not None:
            number = parents[number]
        return number

    def twisty(self, number):
        return f"#rows [data-number='{number}'] .twisty"


class Requests(PageTest):
    def test_shows_the_trees(self):
        before = shop.ledger()
        browser.await_updates()
        if PICTURES:
            # A checkout that has just begun is on top.
            browser.until(lambda: {"thread", "blocking_call"} <= self.kinds_of_newest_tree())
        browser.pause()
        after = shop.ledger()
        self.assertTrue(all(row["level"] == 1 for row in browser.rows()))
        for number in self.roots():
            if browser.row(number)["expanded"] == "false":
                browser.click(self.twisty(number))

        rows = browser.rows()
        expected = expected_rows(browser.answer("?contexts")["contexts"])
        self.assertEqual(
            [{**row, "badge": None} for row in rows], [{**row, "badge": None} for row in expected]
        )
        # The rows also agree with the shop's own records.
        checkouts = {
            int(row["variables"]["request_id"])
            for row in rows
            if row["kind"] in ("request", "body") and row["state"] != "finished"
        }
        lasting = set(before["checkouts"]) & set(after["checkouts"])
        self.assertTrue(lasting or PICTURES)
        self.assertLessEqual(lasting, checkouts)
        waiting = {
            int(row["variables"]["request_id"]) for row in rows if row["name"] == "await the parcel"
        }
        self.assertLessEqual(set(before["leaked"]), waiting)
        self.assertLessEqual(waiting, set(after["leaked"]))
        self.assertIn("refresh prices", [row["name"] for row in rows if row["level"] == 1])
        browser.find("#sort").send_keys(Keys.ARROW_DOWN)
        picture("inspect-requests")

    def kinds_of_newest_tree(self):
        contexts = browser.answer("?contexts")["contexts"]
        number = [it["number"] for it in contexts if it["parent"] is None][-1]
        return {it["kind"] for it in contexts if self.root_of(it["number"], contexts) == number}

    def test_details_name_the_place_and_the_values(self):
        browser.pause()
        context = next(
            it
            for it in browser.answer("?contexts")["contexts"]
            if it["kind"] in ("request", "body") and it["variables"]
        )
        browser.click(f"#rows [data-number='{context['number']}'] .kind")
        details = browser.find("#details").text
        self.assertEqual(
            browser.find("#details").get_attribute("data-number"), str(context["number"])
        )
        self.assertIn(f"{context['file']}:{context['line']}:{context['column']}", details)
        for variable in context["variables"]:
            self.assertIn(variable["value"], details)

    def test_mouse_expands_and_collapses(self):
        browser.pause()
        parent = next(row for row in browser.rows() if row["expanded"] == "false")["number"]
        children = [
            it["number"] for it in browser.answer("?contexts")["contexts"] if it["parent"] == parent
        ]
        self.assertIsNone(browser.row(children[0]))
        browser.click(self.twisty(parent))
        self.assertEqual(browser.row(parent)["expanded"], "true")
        self.assertTrue(all(browser.row(child) for child in children))
        browser.click(self.twisty(parent))
        self.assertEqual(browser.row(parent)["expanded"], "false")
        self.assertIsNone(browser.row(children[0]))
        browser.click("#expand")
        self.assertNotIn("false", [row["expanded"] for row in browser.rows()])
        browser.click("#collapse")
        self.assertEqual([row["level"] for row in browser.rows()], [1] * len(self.roots()))

    def active(self):
        """Returns the number of the row that is announced as active, and selected."""
        id = "document.getElementById('tree').getAttribute('aria-activedescendant')"
        return browser.js(
            f"const row = document.getElementById({id});"
            "return row?.ariaSelected === 'true' ? Number(row.dataset.number) : null"
        )

    def test_keys_of_the_tree(self):
        browser.pause()
        rows = browser.rows()
        roots = self.roots()
        index, parent = next(
            (i, row["number"]) for i, row in enumerate(rows) if row["expanded"] == "false"
        )
        child = next(
            it["number"] for it in browser.answer("?contexts")["contexts"] if it["parent"] == parent
        )
        browser.js("document.getElementById('tree').focus()")
        browser.press(Keys.END)
        self.assertEqual(self.active(), roots[-1])
        browser.press(Keys.HOME)
        self.assertEqual(self.active(), roots[0])
        browser.press(*[Keys.ARROW_DOWN] * index)
        self.assertEqual(self.active(), parent)
        browser.press(Keys.ARROW_RIGHT)
        self.assertEqual((self.active(), browser.row(parent)["expanded"]), (parent, "true"))
        browser.press(Keys.ARROW_RIGHT)
        self.assertEqual(self.active(), child)
        browser.press(Keys.ARROW_UP)
        self.assertEqual(self.active(), parent)
        browser.press(Keys.ARROW_DOWN, Keys.ARROW_LEFT)
        self.assertEqual((self.active(), browser.row(parent)["expanded"]), (parent, "true"))
        browser.press(Keys.ARROW_LEFT)
        self.assertEqual((self.active(), browser.row(parent)["expanded"]), (parent, "false"))
        self.assertIsNone(browser.row(child))
        browser.press(Keys.ENTER)
        self.assertEqual(browser.find("#details").get_attribute("data-number"), str(parent))
        browser.press(Keys.ESCAPE)
        self.assertFalse(browser.find("#details").is_displayed())
        self.assertEqual(browser.js("return document.activeElement.id"), "tree")

    def test_filter_shows_only_trees_that_match(self):
        browser.pause()
        contexts = browser.answer("?contexts")["contexts"]
        matching = [it["number"] for it in contexts if value(it, "tenant") == '"acme"']
        expected = {self.root_of(number) for number in matching}
        self.assertLess(len(expected), len(self.roots()))
        browser.fill("#filter", "tenant=acme")
        self.assertEqual(set(self.roots()), expected)
        # A match inside of a tree is shown, and marked.
        marked = browser.js(
            "return [...document.querySelectorAll('#rows .row.match')]"
            ".map((row) => Number(row.dataset.number))"
        )
        self.assertLessEqual(set(marked), set(matching))
        leaked = next(
            it
            for it in contexts
            if it["name"] == "await the parcel" and value(it, "tenant") == '"acme"'
        )
        self.assertIn(leaked["number"], marked)
        browser.fill("#filter", "tenant=nobody")
        self.assertEqual(self.roots(), [])
        # The address has the filter.
        self.open(hash="#/requests?filter=tenant%3Dnorth")
        browser.pause()
        contexts = browser.answer("?contexts")["contexts"]
        north = {self.root_of(it["number"]) for it in contexts if value(it, "tenant") == '"north"'}
        self.assertEqual(set(self.roots()), north)

    def test_sorts_by_age(self):
        browser.pause()
        roots = [it for it in browser.answer("?contexts")["contexts"] if it["parent"] is None]
        ages = {it["number"]: it["age_us"] for it in roots}
        self.assertGreater(len(ages), 3)
        # By key, because the driver's click on an option sends fewer events than a person's.
        browser.find("#sort").send_keys(Keys.ARROW_DOWN)
        newest = [ages[number] for number in self.roots()]
        self.assertEqual(newest, sorted(ages.values()))
        browser.find("#sort").send_keys(Keys.ARROW_UP)
        self.assertEqual([ages[number] for number in self.roots()], newest[::-1])

    def test_marks_requests_whose_tasks_outlive_them(self):
        before = set(shop.ledger()["leaked"])
        browser.await_updates()
        browser.click("#leftovers")
        browser.pause()
        browser.click("#expand")
        rows = browser.rows()
        requests, tasks = rows[::2], rows[1::2]
        for request, task in zip(requests, tasks, strict=True):
            self.assertEqual(
                (request["kind"], request["level"], request["state"]), ("request", 1, "finished")
            )
            self.assertEqual(request["badge"], "finished, 1 still live")
            self.assertEqual(
                (task["name"], task["level"], task["state"]), ("await the parcel", 2, "idle")
            )
            self.assertEqual(task["badge"], f"outlives request #{request['number']}")
        leaked = {int(task["variables"]["request_id"]) for task in tasks}
        self.assertLessEqual(before, leaked)
        self.assertLessEqual(leaked, set(shop.ledger()["leaked"]))
        self.assertEqual(
            browser.text("#totals [data-total=leftovers]").split()[0], str(len(leaked))
        )
        browser.click(f"#rows [data-number='{tasks[0]['number']}'] .kind")
        picture("inspect-leftover")

    def test_a_new_request_appears_and_an_old_one_goes(self):
        checkout = max(shop.ledger()["checkouts"])

        def shown():
            return {int(row["variables"].get("request_id", 0)) for row in browser.rows()}

        browser.until(lambda: checkout in shown())
        browser.until(lambda: checkout not in shown() and max(shown()) > checkout)

    def test_pause_stops_the_updates(self):
        browser.pause()
        rows, updated = browser.rows(), browser.text("#updated")
        fetches = browser.js("return fetches.started")
        # The page would have fetched several times.
        last = max(shop.ledger()["checkouts"])
        browser.until(lambda: last not in shop.ledger()["checkouts"])
        self.assertEqual(browser.js("return fetches.started"), fetches)
        self.assertEqual((browser.rows(), browser.text("#updated")), (rows, updated))
        browser.click("#pause")
        browser.await_updates()
        self.assertNotEqual(browser.rows(), rows)


class Safety(PageTest):
    def test_text_of_clients_is_text(self):
        scripts = browser.js("return document.scripts.length")
        browser.fill("#filter", f'tenant="{SCRIPT}"')
        browser.until(browser.rows)
        browser.await_updates()
        browser.pause()
        browser.click("#expand")
        browser.click("#rows .kind")
        values = {row["variables"]["tenant"] for row in browser.rows() if row["variables"]}
        self.assertEqual(values, {f'"{SCRIPT}"'})
        self.assertEqual(browser.js("return document.scripts.length"), scripts)
        self.assertEqual(browser.js("return document.querySelectorAll('main script').length"), 0)
        # An alert would have raised in each of these calls. The log is checked after each test.

    def test_shows_no_secret(self):
        browser.click("#expand")
        browser.await_updates()
        browser.click("#tab-lost")
        browser.until(lambda: browser.answer("?lost"))
        browser.click("#tab-timeline")
        browser.until(lambda: browser.answer("?finished"))
        seen = browser.js("return JSON.stringify(answers) + document.documentElement.outerHTML")
        self.assertIn("<redacted>", seen)
        for text in [
            seen,
            *(shop.get(shop.page + query) for query in ("", "?contexts", "?lost", "?finished")),
        ]:
            self.assertNotIn(SECRET, text)

    def test_loads_nothing_but_itself(self):
        browser.click("#tab-lost")
        browser.click("#tab-timeline")
        browser.until(lambda: browser.answer("?finished"))
        loaded = browser.js(
            "return performance.getEntriesByType('resource').map((entry) => entry.name)"
        )
        self.assertEqual(
            set(loaded), {shop.page + query for query in ("?contexts", "?lost", "?finished")}
        )


class OtherTabs(PageTest):
    def test_lost_reads_are_counted_by_place(self):
        browser.click("#tab-lost")
        browser.until(lambda: browser.answer("?lost"))
        browser.pause()
        [place] = browser.answer("?lost")["places"]
        [row] = browser.js(
            "const cells = (row) => [...row.cells].map((cell) => cell.textContent);"
            "return [...document.querySelectorAll('#lost tbody tr')].map(cells)"
        )
        with open("examples/live.rs") as source:
            line = next(
                n
                for n, text in enumerate(source, 1)
                if "tokio::spawn(async { TENANT.get() })" in text
            )
        self.assertEqual((row[0], row[1]), (str(place["count"]), "tenant"))
        self.assertGreater(place["count"], 0)
        self.assertTrue(row[3].startswith(f"examples/live.rs:{line}:"), row)
        self.assertIn("contextvar::task::spawn", row[5])

    def test_timeline_shows_a_request_with_its_tasks_as_bars(self):
        browser.click("#tab-timeline")

        def whole_checkout():
            """Returns a recent request that has finished, with the four contexts of its work."""
            answer = browser.answer("?finished")
            finished = {it["number"]: it for it in answer["contexts"]}
            children = {}
            for it in finished.values():
                children.setdefault(it["parent"], []).append(it)
            for request in sorted(finished.values(), key=lambda it: it["started_ms"]):
                below = children.get(request["number"], [])
                is_recent = request["started_ms"] > answer["time_ms"] - 55_000
                if is_recent and {it["kind"] for it in below} == {
                    "task",
                    "thread",
                    "blocking_call",
                }:
                    stock = next(it for it in below if it["kind"] == "task")
                    return [request, *below, *children.get(stock["number"], [])]

        browser.until(lambda: browser.answer("?finished") and whole_checkout())
        if PICTURES:
            # A minute full of requests.
            browser.until(lambda: browser.answer("?contexts")["contexts"][0]["age_us"] > 61e6, 70)
        browser.pause()
        contexts = whole_checkout()
        self.assertEqual(len(contexts), 5)
        rows = browser.bars()
        at = next(i for i, row in enumerate(rows) if row["number"] == contexts[0]["number"])
        shown = {row["number"]: row for row in rows[at : at + 5]}
        self.assertEqual(set(shown), {it["number"] for it in contexts})
        request = contexts[0]
        for it in contexts:
            bar, percent = shown[it["number"]], 60_000 / 100
            self.assertEqual(bar["kind"], it["kind"])
            self.assertAlmostEqual(
                bar["width"], (it["ended_ms"] - it["started_ms"]) / percent, places=2
            )
            self.assertAlmostEqual(
                bar["left"] - shown[request["number"]]["left"],
                (it["started_ms"] - request["started_ms"]) / percent,
                places=2,
            )

        browser.click(f"#bars [data-number='{request['number']}'] .kind")
        picture(
            "inspect-timeline", f"document.getElementById('timeline').scrollTop = {(at - 8) * 22}"
        )

        # In the minute in which it began, and not in the minute before the shop.
        minute = request["started_ms"] // 60_000 * 60_000
        self.open(hash=f"#/timeline?minute={minute:.0f}", height=15_000)
        browser.until(lambda: request["number"] in [row["number"] for row in browser.bars()])
        row = next(row for row in browser.bars() if row["number"] == request["number"])
        self.assertAlmostEqual(row["left"], (request["started_ms"] - minute) / percent, places=2)
        self.open(hash=f"#/timeline?minute={minute - 300_000:.0f}")
        browser.await_updates(2)
        self.assertEqual(browser.bars(), [])


class Looks(PageTest):
    TABS = ("requests", "lost", "timeline")

    def test_dark_and_light_differ_and_are_readable(self):
        backgrounds = []
        for scheme in ("light", "dark"):
            browser.color_scheme(scheme)
            for tab in self.TABS:
                browser.click(f"#tab-{tab}")
                browser.await_updates(2)
                if tab == "requests":
                    browser.click("#expand")
                    browser.click("#rows .kind")
                texts, unreadable = browser.js(UNREADABLE)
                self.assertGreater(texts, 20)
                self.assertEqual(unreadable, [], (scheme, tab))
            if scheme == "dark":
                browser.click("#tab-requests")
                browser.await_updates(2)
                browser.click("#rows [data-finished=true] + * .kind")
                picture("inspect-dark")
            backgrounds.append(browser.js("return getComputedStyle(document.body).backgroundColor"))
        self.assertEqual(backgrounds[0], "rgb(255, 255, 255)")
        self.assertLess(max(int(part) for part in backgrounds[1][4:-1].split(",")), 50)

    def test_a_narrow_window_needs_no_horizontal_scrolling(self):
        for tab in self.TABS:
            with self.subTest(tab):
                self.open(width=400, hash=f"#/{tab}")
                browser.await_updates(2)
                if tab == "requests":
                    browser.click("#expand")
                    browser.click("#rows .kind")
                page = "document.documentElement"
                widths = f"return [{page}.scrollWidth, {page}.clientWidth]"
                self.assertEqual(browser.js(widths), [400, 400])
                grids = "return [...document.querySelectorAll('#tree, #timeline, #lost')]"
                inside = f"{grids}.filter((it) => it.scrollWidth > 400).length"
                self.assertEqual(browser.js(inside), 0)

    def test_tab_key_reaches_each_control(self):
        expected = {
            "requests": [
                "tab-requests",
                "pause",
                "filter",
                "sort",
                "leftovers",
                "expand",
                "collapse",
                "tree",
            ],
            "lost": ["tab-lost", "pause", ""],
            "timeline": [
                "tab-timeline",
                "pause",
                "minute-back",
                "minute",
                "minute-now",
                "timeline",
            ],
        }
        for tab, controls in expected.items():
            with self.subTest(tab):
                self.open(hash=f"#/{tab}")
                browser.await_updates(2)
                reached = []
                for _ in controls:
                    browser.press(Keys.TAB)
                    reached.append(browser.js("return document.activeElement.id"))
                self.assertEqual(reached, controls)

    def test_arrows_move_between_the_tabs(self):
        browser.press(Keys.TAB)
        for tab in ("lost", "timeline", "requests"):
            browser.press(Keys.ARROW_RIGHT)
            self.assertEqual(browser.js("return document.activeElement.id"), f"tab-{tab}")
            self.assertTrue(browser.find(f"#panel-{tab}").is_displayed())
        browser.press(Keys.ARROW_LEFT)
        self.assertTrue(browser.find("#panel-timeline").is_displayed())


class ManyContexts(PageTest):
    def setUp(self):
        self.shop = Shop("--contexts", "10000")
        self.addCleanup(self.shop.close)
        # Runs first: a page that asked a closed shop would leave an error in the browser's log.
        self.addCleanup(browser.driver.get, "about:blank")
        self.open(page=self.shop.page)

    def test_10_000_contexts_are_few_elements(self):
        browser.until(lambda: len(browser.answer("?contexts")["contexts"]) >= 10_000)
        browser.click("#expand")
        rows = "document.getElementById('tree').ariaRowCount"
        rows = f"return [Number({rows}), document.querySelectorAll('#rows > .row').length]"
        browser.until(lambda: browser.js(rows)[0] > 10_000)
        self.assertLess(browser.js(rows)[1], 60)
        self.assertLess(browser.js("return document.querySelectorAll('*').length"), 3000)
        # The last row, which `elements` has only now.
        browser.pause()
        browser.js("document.getElementById('tree').focus()")
        browser.press(Keys.END)
        contexts = browser.answer("?contexts")["contexts"]
        last = [it["number"] for it in contexts if it["parent"] is None][-1]
        self.assertIn(last, [row["number"] for row in browser.rows()])
        self.assertLess(browser.js(rows)[1], 60)
        browser.click("#pause")
        browser.js(
            "longTasks.length = 0; window.frameCount = 0;"
            "const count = () => { frameCount++; requestAnimationFrame(count) }; count()"
        )
        browser.js("window.from = performance.now()")
        browser.await_updates(3)
        frames, time, tasks = browser.js("return [frameCount, performance.now() - from, longTasks]")
        figures = (
            f"{frames} frames in {time:.0f} ms, long tasks: {[round(task) for task in tasks]} ms"
        )
        print(f"10 000 contexts, 3 updates: {figures}")
        browser.fill("#filter", "tenant=tenant-777")
        browser.until(lambda: browser.js(rows)[0] == 11)


if __name__ == "__main__":
    unittest.main()
