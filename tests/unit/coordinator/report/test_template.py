"""Templates in which text stays text."""

from coordinator.report.template import environment

EVIL = "<script>\"'&"


def rendered(source, **values):
    return environment().from_string(source).render(values)


def test_text_and_attributes_are_escaped():
    escaped = "&lt;script&gt;&#34;&#39;&amp;"

    assert rendered('<p title="{{ text }}">{{ text }}</p>', text=EVIL) == (
        f'<p title="{escaped}">{escaped}</p>'
    )


def test_a_table_names_its_rows_and_escapes_them():
    html = rendered(
        '{% from "report/macros.html.j2" import table %}{{ table("Figures", rows) }}',
        rows=[["", "count"], ["open", "3"], [EVIL, EVIL]],
    )

    assert '<caption class="sr">Figures</caption>' in html
    assert '<tr>\n<th scope="row">open</th>\n<td>3</td>\n</tr>' in html
    assert "<script>" not in html


def test_a_caller_draws_the_last_cell_of_each_row():
    html = rendered(
        '{% from "report/macros.html.j2" import table %}'
        '{% call(row) table("T", rows) %}<b>{{ row[-1] }}</b>{% endcall %}',
        rows=[["a", "b", "c"], ["1", "2", EVIL]],
    )

    assert "<td>2</td>\n<td><b>&lt;script&gt;&#34;&#39;&amp;</b></td>" in html


def test_a_section_is_named_by_its_title():
    html = rendered(
        '{% from "report/macros.html.j2" import section %}'
        '{% call section("Over time") %}<p>x</p>{% endcall %}'
    )

    assert html.strip().startswith('<section aria-labelledby="over-time-title">')
    assert '<h2 id="over-time-title">Over time</h2>\n<p>x</p>' in html
