"""HTML in which text stays text."""

from coordinator.report.markup import Html, join, table, tag

EVIL = "<script>\"'&"


def test_text_and_attributes_are_escaped_and_finished_html_is_not():
    assert tag("p", EVIL, tag("b", "x"), title=EVIL) == (
        '<p title="&lt;script&gt;&quot;&#x27;&amp;">&lt;script&gt;&quot;&#x27;&amp;<b>x</b></p>'
    )
    assert join([EVIL, Html("<br>")]) == "&lt;script&gt;&quot;&#x27;&amp;<br>"


def test_a_table_names_its_rows():
    html = table("Figures", ("", "count"), [("open", 3)])

    assert '<caption class="sr">Figures</caption>' in html
    assert '<tr><th scope="row">open</th><td>3</td></tr>' in html


def test_void_elements_and_bare_attributes():
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'
    assert tag("details", "x", open=True, hidden=False) == "<details open>x</details>"
