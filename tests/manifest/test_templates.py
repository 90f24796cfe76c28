"""Templates: what they can say, and that they can do nothing else."""

from pathlib import Path

import pytest

from pipeline.errors import JobError
from pipeline.manifest.problems import RowError
from pipeline.manifest.templates import MAX_LENGTH, Templates, is_template
from tests.manifest.reading import edits, problem, read, write


def render(text: str, **values: object) -> str:
    return Templates().render(text, values)


def test_columns_are_variables_by_name_and_by_row(tmp_path: Path) -> None:
    path = write(tmp_path, "images,Product Name,Colour,2nd\na.jpg,Red Shoe,red,x\n")
    prompt = (
        "{{ product_name }}/{{ row['Product Name'] }}/{{ Colour }}/{{ colour }}/{{ id }}"
        "/{{ row['2nd'] }}"
    )
    assert edits(path, prompt=prompt)[0].prompt == "Red Shoe/Red Shoe/red/red/a/x"


def test_a_rows_prompt_is_a_template_too(tmp_path: Path) -> None:
    path = write(tmp_path, "images,prompt,kind\na.jpg,the {{ kind }},mug\nb.jpg,a {kind} %,x\n")
    assert [edit.prompt for edit in edits(path)] == ["the mug", "a {kind} %"]


def test_text_without_braces_is_used_as_it_is() -> None:
    assert not is_template("Put {it} on {white} 100 %")
    assert is_template("{{ a }}")


def test_an_undefined_name_says_what_there_is(tmp_path: Path) -> None:
    path = write(tmp_path, "id,images,product\na,x.jpg,mug\n")
    row = problem(path, prompt="Put {{ prodct }} here")
    assert str(row) == (
        "shoes.csv:2: the template's 'prodct' is not defined (did you mean 'product'?); there are"
        " id, product, row"
    )
    assert row.id == "a"


def test_conditions_loops_filters_and_text_methods_work() -> None:
    text = (
        "{% if kind == 'mug' %}a {{ kind|upper }}{% else %}no{% endif %}"
        "{% for part in parts.split(',') %} [{{ loop.index }} {{ part.strip()|title }}]{% endfor %}"
        "{{ gone|default('-') }}{% if gone is defined %}x{% endif %}{{ 'a' ~ (1 + 1) }}"
        "{{ kind|replace('m', 'M') }}{{ ['x', kind]|join('+') }}{# a remark #}"
    )
    assert render(text, kind="mug", parts="red, blue") == "a MUG [1 Red] [2 Blue]-a2Mugx+mug"


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ name.__class__ }}",
        "{{ name['__class__'] }}",
        "{{ name|attr('__class__') }}",
        "{{ ''.join(['a']) }}",
        "{{ name.format(1) }}",
        "{{ '{0.__class__}'.format(name) }}",
        "{{ self.__init__ }}",
        "{{ cycler }}",
        "{{ config }}",
        "{{ lipsum(100) }}",
        "{% include 'x' %}",
        "{% import 'os' as os %}",
        "{% macro m() %}{{ m() }}{% endmacro %}",
        "{% set x = name %}{{ x }}",
        "{% set x %}a{% endset %}",
        "{{ 'x' * 10**9 }}",
        "{{ 9**9**9 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 'x'.ljust(1000000000) }}",
        "{{ 'x'|center(1000000000) }}",
        "{{ 'x'|indent(1000000000) }}",
        "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}",
        "{% for a in range(100000000) %}{% endfor %}",
        "{% for a in range(900) %}" + "x" * 100 + "{% endfor %}",
        "{{ range(99999)|join('xxxxxxxxxxxxxxxxxxxx') }}",
        "{{ 'x'" + "|replace('x', 'xxxxxxxxxx')" * 20 + " }}",
        "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{{ 1 / 0 }}",
        "{{ name + 1 }}",
        "{{ name|nofilter }}",
        "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
        "{{ name",
        "{% if name %}",
        "x" * (MAX_LENGTH + 1) + "{{ name }}",
        "{# x",
        "{% for a in [1] %}" * 30 + "{% endfor %}" * 30,
        "{% if 1 %}" * 200 + "{% endif %}" * 200,
        "{{ " + "-" * 5000 + "1 }}",
        "{{ " + "9" * 5000 + " }}",
        "{{ name|truncate(2) }}",
        "{{ '\\ud83d' }}",
        "{{ '1e400'|float|int }}",
    ],
)
def test_anything_else_is_refused_in_words(text: str) -> None:
    with pytest.raises(RowError) as raised:
        render(text, name="x")
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 500


def test_loops_of_one_rendering_do_not_count_for_the_next() -> None:
    templates = Templates()
    text = "{% for a in range(600) %}{% endfor %}"
    assert templates.render(text, {}) == templates.render(text, {}) == ""


def test_values_are_not_templates() -> None:
    assert render("{{ name }}", name="{{ 7 + 7 }}") == "{{ 7 + 7 }}"


def test_what_a_template_makes_of_a_cell_is_bounded(tmp_path: Path) -> None:
    path = write(tmp_path, f"images,note\na.jpg,{'n' * 40_000}\n")
    assert "longer than 32,000 characters" in problem(path, prompt="{{ note }}").message


def test_an_empty_result_is_a_problem(tmp_path: Path) -> None:
    path = write(tmp_path, "images,note\na.jpg,\n")
    assert "the rendered prompt is empty" in problem(path, prompt="{{ note }}").message


def test_a_jobs_template_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "images\na.jpg\n")
    with pytest.raises(JobError, match=r"^prompt: the template 'a \{\{ b' cannot be read: "):
        read(path, prompt="a {{ b")
    with pytest.raises(JobError, match=r"^outputs\.image: the template "):
        read(path, output="{{ id")
    with pytest.raises(JobError, match="No filter named 'slugify'"):
        read(path, output="{{ id|slugify }}")


def test_only_the_last_templates_are_kept() -> None:
    templates = Templates()
    for number in range(300):
        templates.render(f"{number}{{{{ x }}}}", {"x": 1})
    assert len(templates._compiled) == 256
